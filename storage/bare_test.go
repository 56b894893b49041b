package storage

import (
	"log/slog"
	"reflect"
	"testing"

	"cartwheel/storage/storagetest"
)

// TestBareIsSizedAlike: what a store is measured by has the same Badger beneath it, but that it leaves
// the syncs to Badger.
func TestBareIsSizedAlike(t *testing.T) {
	cfg := Config{Dir: "dir"}.WithDefaults()
	want := badgerOptions(cfg, badgerLogger{slog.New(slog.DiscardHandler), nil})
	got := storagetest.BareOptions("dir")
	want.Logger, got.Logger = nil, nil
	want.SyncWrites = true
	if !reflect.DeepEqual(got, want) {
		t.Errorf("a bare store has the options\n%+v\na store has\n%+v", got, want)
	}
}
