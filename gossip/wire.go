package gossip

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// adapter makes a Wire a memberlist transport.
type adapter struct {
	wire    Wire
	self    netip.AddrPort
	packets chan *memberlist.Packet
	reader  sync.WaitGroup
	closed  chan struct{}
	once    sync.Once
}

var _ memberlist.NodeAwareTransport = (*adapter)(nil)

// packetQueue bounds the packets that memberlist has not taken yet. Packets beyond it are
// dropped, as a full socket buffer would.
const packetQueue = 256

func newAdapter(w Wire, self netip.AddrPort) *adapter {
	a := &adapter{wire: w, self: self, packets: make(chan *memberlist.Packet, packetQueue), closed: make(chan struct{})}
	_ = w.Packets().SetReadDeadline(time.Time{}) // an error shows in the first read
	a.reader.Go(a.read)
	return a
}

func (a *adapter) read() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := a.wire.Packets().ReadFrom(buf)
		select {
		case <-a.closed:
			return
		default:
		}
		if err != nil {
			// Errors of single packets (an ICMP answer, a short buffer) pass; those that
			// stay must not make this a busy loop.
			select {
			case <-a.closed:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		p := &memberlist.Packet{Buf: append([]byte(nil), buf[:n]...), From: from, Timestamp: time.Now()}
		select {
		case a.packets <- p:
		default:
		}
	}
}

func (a *adapter) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return a.self.Addr().AsSlice(), int(a.self.Port()), nil
}

func (a *adapter) PacketCh() <-chan *memberlist.Packet { return a.packets }
func (a *adapter) StreamCh() <-chan net.Conn           { return a.wire.Streams() }

// address is a packet's destination as the Wire takes it.
type address string

func (address) Network() string  { return "udp" }
func (a address) String() string { return string(a) }

func (a *adapter) WriteTo(b []byte, addr string) (time.Time, error) {
	_, err := a.wire.Packets().WriteTo(b, address(addr))
	return time.Now(), err
}

func (a *adapter) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return a.WriteTo(b, addr.Addr)
}

func (a *adapter) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return a.wire.Dial(addr, timeout)
}

func (a *adapter) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return a.wire.Dial(addr.Addr, timeout)
}

// Shutdown ends the reader. The port itself belongs to the transport and stays open.
func (a *adapter) Shutdown() error {
	a.once.Do(func() {
		close(a.closed)
		// Wakes a pending read; if that fails the socket is closed already, which wakes it too.
		_ = a.wire.Packets().SetReadDeadline(time.Unix(1, 0))
	})
	a.reader.Wait()
	return nil
}

// levelHandler gives memberlist's lines the level that stands in their text.
type levelHandler struct{ slog.Handler }

func (h levelHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h levelHandler) Handle(ctx context.Context, r slog.Record) error {
	level, text := slog.LevelDebug, r.Message
	for mark, l := range map[string]slog.Level{"[WARN] ": slog.LevelInfo, "[ERR] ": slog.LevelWarn, "[ERROR] ": slog.LevelWarn, "[INFO] ": slog.LevelDebug, "[DEBUG] ": slog.LevelDebug} {
		if rest, ok := strings.CutPrefix(text, mark); ok {
			level, text = l, rest
		}
	}
	if !h.Handler.Enabled(ctx, level) {
		return nil
	}
	out := slog.NewRecord(r.Time, level, text, r.PC)
	return h.Handler.Handle(ctx, out)
}
