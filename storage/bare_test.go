package storage

import (
	"log/slog"
	"reflect"
	"testing"

	"cartwheel/storage/storagetest"
)

// TestBareIsSizedAlike: what a store is measured by has the same Badger beneath it.
func TestBareIsSizedAlike(t *testing.T) {
	cfg := Config{Dir: "dir"}.WithDefaults()
	want := badgerOptions(cfg, newLimits(cfg.MemTableBytes), badgerLogger{slog.New(slog.DiscardHandler), nil})
	got := storagetest.BareOptions("dir")
	want.Logger, got.Logger = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("a bare store has the options\n%+v\na store has\n%+v", got, want)
	}
}
