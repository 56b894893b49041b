package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const apiDocument = "docs/http-api.md"

// TestAPIDocument runs every command of the document of the HTTP interface, and compares what it
// prints with what the document shows.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	s, err := ParseConsole(readFile(t, apiDocument))
	if err != nil {
		t.Fatalf("%s: %v", apiDocument, err)
	}
	needTools(t, "bash", "curl", "pgrep")
	d := startDev(t)
	d.awaitReady(t)
	for _, problem := range d.runSession(t, s, t.TempDir(), "") {
		t.Errorf("%s, %s", apiDocument, problem)
	}
	metrics, err := lab.Get("http://" + d.http(0) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	served, documented := names(servedMetric, string(metrics)), names(documentedMetric, readFile(t, apiDocument))
	for _, name := range slices.Concat(served, documented) {
		if !slices.Contains(documented, name) || !slices.Contains(served, name) {
			t.Errorf("the metric %s is documented: %t, is served: %t", name, slices.Contains(documented, name), slices.Contains(served, name))
		}
	}
	t.Attr("api_document_steps", fmt.Sprint(len(s)))
}

var (
	servedMetric     = regexp.MustCompile(`(?m)^# TYPE (cartwheel_[a-z_]+) `)
	documentedMetric = regexp.MustCompile("`(cartwheel_[a-z_]+)[`{]")
)

// names returns what the expression's group finds in a text.
func names(find *regexp.Regexp, text string) (found []string) {
	for _, match := range find.FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// TestRiakUser runs the script of somebody who knows Riak.
func TestRiakUser(t *testing.T) {
	t.Parallel()
	const script = "internal/e2e/testdata/riakuser.sh"
	s, err := ParseSession(sessionFence + "\n" + readFile(t, script) + "```\n")
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	for i := range s {
		s[i].Line-- // the fence
	}
	for _, problem := range runSession(t, s) {
		t.Errorf("%s, %s", script, problem)
	}
	t.Attr("riak_user_steps", fmt.Sprint(len(s)))
}

// TestDocumentsComplete finds a curl line for each method of each path that openapi.yaml has, in
// the document and in the table of the README.
func TestDocumentsComplete(t *testing.T) {
	t.Parallel()
	operations := operationsOf(readFile(t, "httpapi/openapi.yaml"))
	if len(operations) < 25 {
		t.Fatalf("openapi.yaml has only the operations %v", operations)
	}
	document, err := ParseConsole(readFile(t, apiDocument))
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Session{apiDocument: document, "README.md": ParseTable(readFile(t, "README.md"))} {
		for _, missing := range without(operations, s) {
			t.Errorf("%s has no curl line for %s", name, missing)
		}
	}
}

func TestDocumentsCompleteNotices(t *testing.T) {
	t.Parallel()
	operations := operationsOf("paths:\n  /b/{b}:\n    parameters:\n    get:\n    put:\n    head:\n  /b/{b}/p:\n    get:\n    delete:\n  /types/{t}/buckets/{b}:\n    get:\n")
	s := Session{{Commands: "V=$(curl -sI 'http://127.0.0.1:8098/b/x?y=z')\n"}, {Commands: "curl -s http://127.0.0.1:8108/b/x/p -X DELETE\n"}}
	if got, want := without(operations, s), []string{"PUT /b/{b}", "GET /b/{b}/p"}; !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

// operationsOf returns "METHOD path" for each operation, HEAD excepted, which is wherever GET is.
// What is below a type is the same as without.
func operationsOf(openapi string) (operations []string) {
	path := ""
	for line := range strings.Lines(openapi) {
		name, _, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		switch {
		case strings.HasPrefix(name, "  /"):
			path = strings.TrimSpace(name)
		case strings.HasPrefix(path, "/types/{t") && strings.Contains(path, "/buckets"):
		case slices.Contains([]string{"    get", "    put", "    post", "    delete"}, name) && path != "":
			operations = append(operations, strings.ToUpper(strings.TrimSpace(name))+" "+path)
		}
	}
	return operations
}

var (
	curlTarget = regexp.MustCompile(`curl [^\n]*?http://127\.0\.0\.1:\d+(/[^'"?\s)]*)`)
	curlMethod = regexp.MustCompile(` -X ([A-Z]+)`)
	variable   = regexp.MustCompile(`\\\{[a-z]+\\\}`)
)

// without returns the operations that no curl line of the session has. A curl line without a
// method reads, unless it sends a body.
func without(operations []string, s Session) (missing []string) {
	var seen []string
	for _, step := range s {
		target := curlTarget.FindStringSubmatch(step.Commands)
		if target == nil {
			continue
		}
		method := "GET"
		if named := curlMethod.FindStringSubmatch(step.Commands); named != nil {
			method = named[1]
		} else if strings.Contains(step.Commands, " -d ") || strings.Contains(step.Commands, " --data") {
			method = "POST"
		}
		seen = append(seen, method+" "+target[1])
	}
	for _, operation := range operations {
		fits := regexp.MustCompile("^" + variable.ReplaceAllString(regexp.QuoteMeta(operation), `[^/]+`) + "$")
		if !slices.ContainsFunc(seen, fits.MatchString) {
			missing = append(missing, operation)
		}
	}
	return missing
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.Root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
