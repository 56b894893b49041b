package storage

import (
	"errors"
	"os"
	"testing"
)

// A store that is not the one its node left must not open as if nothing had happened: the node
// would answer "not found" for what it has acknowledged.
func TestOpenKnowsItsOwner(t *testing.T) {
	dir := t.TempDir()
	open := func(owner string, must bool) error {
		cfg := small(dir)
		cfg.Owner, cfg.MustExist = owner, must
		s, err := Open(cfg)
		if err == nil {
			mustClose(t, s)
		}
		return err
	}
	if err := open("a", true); !errors.Is(err, ErrEmptied) {
		t.Errorf("a database that should be there and is not: %v", err)
	}
	if err := open("a", false); err != nil {
		t.Fatal(err)
	}
	if err := open("a", true); err != nil {
		t.Errorf("the owner's second start: %v", err)
	}
	for _, must := range []bool{true, false} {
		if err := open("b", must); !errors.Is(err, ErrOwner) {
			t.Errorf("another owner, MustExist %v: %v", must, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := open("a", true); !errors.Is(err, ErrEmptied) {
		t.Errorf("a database that was removed: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made where a disk may have to be mounted: %v", err)
	}
}
