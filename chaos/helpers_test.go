package chaos

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
)

// party is a node of the tests: a host with a listener and a packet socket, as the
// transport opens them.
type party struct {
	*Network
	addr    string
	ln      net.Listener
	packets net.PacketConn
}

// inNet runs f in a bubble with three nodes over links with a delay of 1 ms.
func inNet(t *testing.T, f func(t *testing.T, n1, n2, n3 *party)) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.New(memnet.Config{Link: memnet.Link{Delay: time.Millisecond}})
		parties := make([]*party, 3)
		for i, host := range []string{"n1", "n2", "n3"} {
			parties[i] = newParty(t, mem, host)
		}
		f(t, parties[0], parties[1], parties[2])
	})
}

func newParty(t *testing.T, mem *memnet.Net, host string) *party {
	t.Helper()
	p := &party{addr: host + ":8099"}
	var err error
	if p.Network, err = New(mem.Host(host), p.addr); err != nil {
		t.Fatal(err)
	}
	if p.ln, err = p.Listen(p.addr); err != nil {
		t.Fatal(err)
	}
	if p.packets, err = p.ListenPacket(p.addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Set(nil)
		p.ln.Close()
		p.packets.Close()
	})
	return p
}

// connect opens a stream from p to q.
func (p *party) connect(t *testing.T, q *party) (dialed, accepted net.Conn) {
	t.Helper()
	c, err := p.Dial(t.Context(), q.addr)
	if err != nil {
		t.Fatal(err)
	}
	a, err := q.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		a.Close()
	})
	return c, a
}

// inbox collects what arrives at one end.
type inbox struct {
	got  []byte
	err  error
	done chan struct{}
}

// receive reads everything. Its fields may be looked at after synctest.Wait.
func receive(c net.Conn) *inbox {
	in := &inbox{done: make(chan struct{})}
	go func() { // ends with the stream
		defer close(in.done)
		b := make([]byte, 32<<10)
		for {
			k, err := c.Read(b)
			in.got = append(in.got, b[:k]...)
			if err != nil {
				if err != io.EOF {
					in.err = err
				}
				return
			}
		}
	}()
	return in
}

func (in *inbox) ended() bool {
	select {
	case <-in.done:
		return true
	default:
		return false
	}
}

// settle lets everything under way arrive.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}
