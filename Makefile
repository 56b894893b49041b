# Everything needs Go and bash only; "make help" lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

# The binary carries its own version, so the build works in a plain source tree too.
GOBUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

# How long the simulated cluster runs new histories, and how long each fuzz target.
CARTWHEEL_SIM_FOR ?= 90s
FUZZ_FOR ?= 60s
# Not empty: end-to-end tests in their long form, with the sizes that the goals name.
CARTWHEEL_E2E_LONG ?=
# A package that takes longer hangs.
TEST_TIMEOUT ?= 6m

# The race detector needs a C compiler.
CC := $(shell go env CC)
RACE := $(if $(shell command -v $(firstword $(CC))),-race)
GOTEST = CGO_ENABLED=$(if $(RACE),1,0) CARTWHEEL_SIM_FOR=$(CARTWHEEL_SIM_FOR) CARTWHEEL_E2E_LONG=$(CARTWHEEL_E2E_LONG) go test $(RACE) -shuffle=on -count=1
REPORT = go run ./internal/repocheck/report

STEP := .ci/step

.PHONY: help build run test test-long bench bench-peers sim check fmt-check tidy-check cross bench-once unit

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

build: ## build bin/cartwheel, static, with its version
	@mkdir -p bin
	$(GOBUILD) -o bin/cartwheel ./cmd/cartwheel

run: build ## build, then run a cluster of three nodes on this machine (ARGS='--data DIR' and so on)
	bin/cartwheel dev $(ARGS)

test: ## every check and test, under 8 minutes on 2 cores; ends with go test's summary
	@.ci/clean-tree $(MAKE) --no-print-directory check

test-long: ## fuzz every target for FUZZ_FOR, then all tests, 30 minutes of simulation, a million keys
	@$(STEP) fuzz .ci/fuzz $(FUZZ_FOR)
	@$(MAKE) --no-print-directory unit CARTWHEEL_SIM_FOR=30m CARTWHEEL_E2E_LONG=1 TEST_TIMEOUT=60m

bench: build ## every R and W on three nodes of this machine, about 4 minutes (ARGS='--workload put')
	@.ci/bench --workload mixed:0.5 --matrix all --for 15s --staleness $(ARGS)

bench-peers: build ## the same load on etcd and Redis, about 25 minutes (ARGS='--rounds 1')
	@.ci/packages etcd:etcd-server redis-server:redis-server
	@mkdir -p bench-results
	go run ./bench/peers --cartwheel bin/cartwheel --json bench-results/peers.json --markdown bench-results/peers.md $(ARGS) | tee bench-results/peers.txt

sim: ## replay one simulated history: make sim SEED=n
	@[[ -n '$(SEED)' ]] || { echo 'make sim SEED=n: which seed?' >&2; exit 2; }
	CARTWHEEL_SIM_SEED='$(SEED)' go test ./internal/sim -run TestHistories -count=1 -v

# Cheap checks first. The tests come last, so that their summary ends the output.
check:
	@$(STEP) format $(MAKE) --no-print-directory fmt-check
	@$(STEP) vet go vet ./...
	@$(STEP) staticcheck go tool staticcheck ./...
	@$(STEP) tidy go mod tidy -diff
	@$(STEP) cross-build $(MAKE) --no-print-directory cross
	@$(STEP) benchmarks-once $(MAKE) --no-print-directory bench-once
	@$(MAKE) --no-print-directory unit

fmt-check:
	@unformatted=$$(gofmt -l .) && \
	[[ -z $$unformatted ]] || { printf 'not formatted (gofmt -w FILE):\n%s\n' "$$unformatted" >&2; exit 1; }

cross:
	@for platform in $(PLATFORMS); do \
		echo "$$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 go build -trimpath -buildvcs=false ./... || exit; \
	done

# One round each, so that no benchmark rots; the figures of one round mean nothing.
bench-once:
	@go test -json -run '^$$' -bench . -benchtime 1x -timeout $(TEST_TIMEOUT) ./... | $(REPORT)

# The report decides what a failure is: see its package document about the second round.
unit:
	@.ci/packages
	@echo '== tests (unit, simulation for $(CARTWHEEL_SIM_FOR), end to end)'
	@$(if $(RACE),,echo 'the race detector is off: no C compiler, "$(CC)" is not in the PATH';) \
	crashed=$$(mktemp); trap 'rm -f "$$crashed"' EXIT; \
	{ $(GOTEST) -vet=off -timeout $(TEST_TIMEOUT) -json ./... || true; } | $(REPORT) -crashed "$$crashed"; \
	if [[ -s $$crashed ]]; then \
		$(GOTEST) -vet=off -timeout $(TEST_TIMEOUT) -json $$(cat "$$crashed") | $(REPORT); \
	fi
