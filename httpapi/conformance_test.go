package httpapi

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestConformance runs the Python conformance runner against three servers over one cluster
// in memory. It shows what the HTTP side does; what a real cluster does is tested elsewhere.
func TestConformance(t *testing.T) {
	runner := os.Getenv("CARTWHEEL_CONFORM")
	if runner == "" {
		t.Skip("CARTWHEEL_CONFORM does not name a conform.py; CARTWHEEL_CONFORM_ONLY chooses the cases")
	}
	c := newCluster(t)
	var bases []string
	for range 3 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := NewServer(c.server(t), ServerConfig{})
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		t.Cleanup(func() { s.Close(); <-done })
		bases = append(bases, "http://"+l.Addr().String())
	}
	only := os.Getenv("CARTWHEEL_CONFORM_ONLY")
	if only == "" {
		only = "^[ABC]"
	}
	out, err := exec.Command("python3", runner, "--base", strings.Join(bases, ","), "--profile", "cartwheel", "--only", only).CombinedOutput()
	t.Logf("\n%s", out)
	if err != nil {
		t.Error(err)
	}
}
