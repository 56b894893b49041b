package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// lab is made once: building takes longer than most tests.
var lab *Lab

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		fmt.Println("end-to-end tests are left out with -short: they start real processes")
		return
	}
	os.Exit(runAll(m))
}

func runAll(m *testing.M) (code int) {
	var err error
	if lab, err = NewLab("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if err := lab.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: after all tests:", err)
		return 1
	}
	return code
}
