package transport_test

import (
	"testing"

	"cartwheel/internal/memnet/networktest"
	"cartwheel/transport"
)

func TestTCP(t *testing.T) {
	if testing.Short() {
		t.Skip("uses real sockets")
	}
	for _, c := range networktest.Cases() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, transport.TCP(), "127.0.0.1:0") })
	}
}
