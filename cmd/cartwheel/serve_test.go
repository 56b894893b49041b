package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A value that makes no sense is blamed on the variable or the file that it came from.
func TestSettingsNameTheirOrigin(t *testing.T) {
	for _, tc := range []struct {
		name, variable, value, yaml string
		args                        []string
		want                        string // after the name of the command; FILE stands for the file
	}{
		{"variable", "CARTWHEEL_WEIGHT", "x", "", nil, `CARTWHEEL_WEIGHT: weight "x": `},
		{"variable, out of range", "CARTWHEEL_WEIGHT", "101", "", nil, "CARTWHEEL_WEIGHT: weight 101: use 1 to 100"},
		{"variable, zero", "CARTWHEEL_N", "0", "", nil, "CARTWHEEL_N: n 0: use at least 1"},
		{"variable, a word", "CARTWHEEL_LOG_LEVEL", "loud", "", nil, `CARTWHEEL_LOG_LEVEL: log-level "loud": `},
		{"file", "", "", "weight: many", nil, `configuration file FILE: weight "many": `},
		{"file, a word", "", "", "durability: x", nil, `configuration file FILE: durability "x": `},
		{"file, second mistake", "", "", "weight: 101", []string{"--partitions", "3"}, "configuration file FILE: weight 101: use 1 to 100; partitions 3: "},
		{"variable beats file", "CARTWHEEL_WEIGHT", "102", "weight: 101", nil, "CARTWHEEL_WEIGHT: weight 102: "},
		{"flag beats both", "CARTWHEEL_WEIGHT", "102", "weight: 101", []string{"--weight", "103"}, "weight 103: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			args := append([]string{"serve", "--name", "n1", "--data", filepath.Join(dir, "data")}, tc.args...)
			file := filepath.Join(dir, "node.yaml")
			if tc.variable != "" {
				t.Setenv(tc.variable, tc.value)
			}
			if tc.yaml != "" {
				if err := os.WriteFile(file, []byte(tc.yaml+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--config", file)
			}
			want := strings.ReplaceAll(tc.want, "FILE", file)
			cartwheel(t, "", args...).expect(t, tc.name, exitUsage, "", "cartwheel: "+want)
		})
	}
}

// What "dev --chaos" gives its nodes shows nowhere else, and is never taken up by mistake.
func TestServeHasNoSwitches(t *testing.T) {
	help := cartwheel(t, "", "serve", "--help")
	if help.code != exitDone || strings.Contains(strings.ToLower(help.stdout), "chaos") {
		t.Errorf("exit code %d; the help speaks of chaos:\n%s", help.code, help.stdout)
	}
	for _, fds := range []string{"", "7", "9998,9999", "three,four"} {
		t.Run(fds, func(t *testing.T) {
			t.Setenv("CARTWHEEL_CHAOS_FD", fds)
			data := filepath.Join(t.TempDir(), "data")
			cartwheel(t, "", "serve", "--name", "n1", "--data", data).expect(t, fds, exitUsage, "",
				"cartwheel: CARTWHEEL_CHAOS_FD="+fds+" does not come from \"cartwheel dev --chaos\", unset it: ")
			if _, err := os.Stat(data); err == nil {
				t.Error("the node has begun")
			}
		})
	}
}
