package client

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A value of control characters is valid text, and six times as long with its escapes: longer than a
// server lets a line be.
func TestBatchLineOfControlCharactersFits(t *testing.T) {
	const largest = 1 << 20 // of a value
	for name, body := range map[string][]byte{
		"zeros": make([]byte, largest), "quotes": bytes.Repeat([]byte{'"'}, largest), "separators": []byte(strings.Repeat("\u2028", largest/3)),
		"mixed": bytes.Repeat([]byte("\x01aaaaaaaaaaaaaa\"\""), largest/17), "text": bytes.Repeat([]byte("a"), largest),
	} {
		op := BatchOp{Kind: BatchPut, Key: "k", Value: Value{ContentType: "text/plain", Body: body}}
		line, err := op.line(NewRequestID())
		if err != nil || len(line) > 2*largest+64<<10 {
			t.Errorf("%s: a line of %d bytes, %v", name, len(line), err)
		}
		var l batchLine
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatal(err)
		}
		if got := append([]byte(nil), l.Base64...); l.Value == nil && !bytes.Equal(got, body) || l.Value != nil && *l.Value != string(body) {
			t.Errorf("%s: another value arrives", name)
		}
	}
}
