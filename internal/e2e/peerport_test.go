package e2e

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealed puts length, as many bytes as given, and checksum before a body, as the first message
// of a connection between nodes has them.
func sealed(body []byte) string {
	b := binary.BigEndian.AppendUint16([]byte("CWR1"), uint16(len(body)))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return string(append(b, body...))
}

// helloOf is the first message of a node: versions, run, sizes, names.
func helloOf(versions uint16, node, cluster string) string {
	b := binary.BigEndian.AppendUint16(nil, versions)
	b = binary.BigEndian.AppendUint16(b, versions)
	b = binary.BigEndian.AppendUint64(b, 42)
	b = binary.BigEndian.AppendUint32(b, 256<<10)
	b = binary.BigEndian.AppendUint32(b, 128<<20)
	for _, s := range []string{node, cluster, "127.0.0.1:9"} {
		b = append(append(b, byte(len(s))), s...)
	}
	return sealed(b)
}

// frame is a request of one frame.
func frame(id uint64, kind, flags byte, payload []byte) string {
	body := binary.BigEndian.AppendUint64(nil, id)
	body = append(body, kind, flags)
	body = binary.BigEndian.AppendUint64(body, 1)    // ring version
	body = binary.BigEndian.AppendUint32(body, 1000) // ms
	body = append(body, payload...)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+4))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return string(append(b, body...))
}

// TestPeerPortGarbage sends to the port between nodes what no node sends. Each connection is
// closed, the log says why, and the node goes on without having taken memory for it.
func TestPeerPortGarbage(t *testing.T) {
	t.Parallel()
	nodes := lab.Cluster(t, 2)
	n := nodes[0]
	cluster := n.View(t).Cluster
	const stranger = "00000000-0000-4000-8000-000000000000"
	random := make([]byte, 4096)
	source := rand.NewPCG(1, 2)
	for i := range random {
		random[i] = byte(source.Uint64())
	}
	damaged := []byte(helloOf(1, stranger, cluster))
	damaged[len(damaged)-1] ^= 1
	bad := []byte(frame(1, 16, 0, random))
	bad[len(bad)-1] ^= 1

	for _, c := range []struct{ name, sent string }{
		{"HTTP", "GET / HTTP/1.1\r\nHost: n\r\n\r\n"},
		{"random bytes", string(random)},
		{"zeros", strings.Repeat("\x00", 4096)},
		{"hello with a wrong checksum", string(damaged)},
		{"hello of 65535 bytes", "CWR1\xff\xff\x00\x00\x00\x00" + strings.Repeat("x", 1000)},
		{"hello without content", sealed(nil)},
		{"hello with random content", sealed(random[:300])},
		{"hello of a later version", helloOf(9, stranger, cluster)},
		{"hello under this node's uuid", helloOf(1, uuidOf(t, n), cluster)},
		{"frame that announces 4 GiB", helloOf(1, stranger, cluster) + "\xff\xff\xff\xff" + string(random)},
		{"frame of no length", helloOf(1, stranger, cluster) + strings.Repeat("\x00", 64)},
		{"frame with a wrong checksum", helloOf(1, stranger, cluster) + string(bad)},
		{"frame with unknown flags", helloOf(1, stranger, cluster) + frame(1, 16, 0x80, random)},
		{"frame without id", helloOf(1, stranger, cluster) + frame(0, 16, 0, random)},
		{"answer to nothing", helloOf(1, stranger, cluster) + frame(1, 0, 1, random)},
		{"gossip stream of garbage", "CWG1" + string(random)},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := strings.Count(n.Stderr.String(), "\n")
			conn := dial(t, n.Peer)
			if _, err := io.WriteString(conn, c.sent); err != nil && !closed(err) {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, conn); err != nil && !closed(err) {
				t.Fatalf("the connection is not closed: %v", err)
			}
			Until(t, 5*time.Second, "the log speaks of it", func() error {
				if strings.Count(n.Stderr.String(), "\n") == lines {
					return errors.New("no line came")
				}
				return nil
			})
			if err := n.Ready(); err != nil {
				t.Fatal(err)
			}
		})
	}

	t.Run("every kind of request with random content", func(t *testing.T) {
		conn := dial(t, n.Peer)
		if _, err := io.WriteString(conn, helloOf(1, stranger, cluster)); err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(conn)
		skipHello(t, r)
		const kinds, perKind = 64, 8
		var sent strings.Builder
		for i := range uint64(kinds * perKind) {
			size := source.Uint64() % 200
			sent.WriteString(frame(i+1, byte(i/perKind), 0, random[size:2*size]))
		}
		if _, err := io.WriteString(conn, sent.String()); err != nil {
			t.Fatal(err)
		}
		for answers := 0; answers < kinds*perKind; {
			length, err := r.Peek(4)
			if err != nil {
				t.Fatalf("after %d answers: %v\n%s", answers, err, n.Stderr.String())
			}
			message := make([]byte, 4+binary.BigEndian.Uint32(length))
			if _, err := io.ReadFull(r, message); err != nil {
				t.Fatal(err)
			}
			if id := binary.BigEndian.Uint64(message[8:]); id != 0 { // not a heartbeat
				answers++
			}
		}
	})

	t.Run("packets", func(t *testing.T) {
		conn, err := net.Dial("udp", n.Peer)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for i := range 500 {
			if _, err := conn.Write(random[:1+i]); err != nil {
				t.Fatal(err)
			}
			random[0]++ // another kind of message each time
		}
	})

	for _, node := range nodes {
		if !node.Running() {
			t.Fatalf("%s has ended:\n%s", node.Name, node.Stderr.String())
		}
		node.AwaitAlive(t, 2)
		if v := node.View(t); len(v.Members) != 2 || v.Cluster != cluster {
			t.Errorf("%s: %+v", node.Name, v)
		}
		put(t, node, "/buckets/b/keys/after")
		if err := node.Stderr.Has("panic"); err == nil {
			t.Errorf("%s: something panicked", node.Name)
		}
	}
	if _, err := os.Stat("/proc"); err == nil {
		checkIdleMemory(t, []string{fmt.Sprint(n.Pid())})
	}
	if status := get(t, n, "/buckets/b/keys/after"); status != http.StatusOK && status != http.StatusMultipleChoices {
		t.Errorf("status %d", status)
	}
}

// closed reports whether an error says that the other side has closed the connection, in order
// or with bytes unread, rather than that time ran out.
func closed(err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func uuidOf(t *testing.T, n *Node) string {
	t.Helper()
	for _, m := range n.View(t).Members {
		if m.Name == n.Name {
			return m.UUID
		}
	}
	t.Fatalf("%s is not in its own ring", n.Name)
	return ""
}

// skipHello reads the other side's first message.
func skipHello(t *testing.T, r *bufio.Reader) {
	t.Helper()
	var fixed [10]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Discard(int(binary.BigEndian.Uint16(fixed[4:]))); err != nil {
		t.Fatal(err)
	}
}
