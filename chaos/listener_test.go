package chaos

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cartwheel/internal/memnet"
)

// Who says something else, or nothing, is turned away and holds up nobody.
func TestListenerTurnsStrangersAway(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing": "", "half": "CWX", "other protocol": "GET / HTTP/1.1\r\n\r\n", "name cut short": "CWX1\xff" + strings.Repeat("x", 254),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memnet.New(memnet.Config{})
				n1, n3 := newParty(t, mem, "n1"), newParty(t, mem, "n3")
				stranger, err := mem.Host("n9").Dial(t.Context(), n3.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer stranger.Close()
				if _, err := stranger.Write([]byte(sent)); err != nil {
					t.Error(err)
				}
				n1.connect(t, n3)
				began := time.Now()
				if answer, err := io.ReadAll(stranger); len(answer) != 0 || err != nil {
					t.Errorf("answered %q, %v", answer, err)
				}
				if took := time.Since(began); took > greetWithin {
					t.Errorf("turned away after %v", took)
				}
			})
		})
	}
}

func TestListenerBoundsStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.New(memnet.Config{})
		n3 := newParty(t, mem, "n3")
		turnedAway := 0
		for range maxGreeted + 5 {
			c, err := mem.Host("n9").Dial(t.Context(), n3.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			synctest.Wait()
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err == io.EOF {
				turnedAway++
			}
		}
		if turnedAway != 5 {
			t.Errorf("%d connections were turned away, want 5", turnedAway)
		}
	})
}

// Something that listens without switches is no peer.
func TestDialStranger(t *testing.T) {
	for name, answer := range map[string]string{"other protocol": "HTTP/1.1 400 Bad Request", "closed": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := memnet.New(memnet.Config{})
				n1 := newParty(t, mem, "n1")
				ln, err := mem.Host("n9").Listen("n9:80")
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				go func() {
					c, err := ln.Accept()
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.WriteString(c, answer) // who dials may be gone
					c.Close()
				}()
				if _, err := n1.Dial(t.Context(), "n9:80"); err == nil {
					t.Error("Dial succeeds")
				}
			})
		})
	}
}

// Only the node's own address greets: clients know nothing of switches.
func TestOtherListenersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memnet.New(memnet.Config{})
		n3 := newParty(t, mem, "n3")
		ln, err := n3.Listen("n3:80")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		c, err := mem.Host("n9").Dial(t.Context(), "n3:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if _, err := a.Write([]byte("HTTP")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "HTTP" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// Close ends all that waits in the listener.
func TestListenerClose(t *testing.T) {
	inNet(t, func(t *testing.T, n1, n2, n3 *party) {
		waiting, err := n2.Dial(t.Context(), n3.addr) // answered, never accepted
		if err != nil {
			t.Fatal(err)
		}
		defer waiting.Close()
		n3.Set([]string{n1.addr}) // the answer to n1 is held
		failed := make(chan error, 1)
		go func() {
			_, err := n1.Dial(t.Context(), n3.addr)
			failed <- err
		}()
		settle()
		for range 2 {
			if err := n3.ln.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := n3.ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v", err)
		}
		if _, err := waiting.Read(make([]byte, 1)); err == nil {
			t.Error("a connection that nobody accepts stays open")
		}
		if len(failed) != 0 {
			t.Errorf("n1 heard through the cut: %v", <-failed)
		}
		n3.Set(nil)
		if err := <-failed; err == nil {
			t.Error("Dial succeeds at a closed listener")
		}
	})
}

func FuzzReadIntroduction(f *testing.F) {
	for _, s := range []string{"", "CWX1", "CWX1\x00", "CWX1\x03n:1rest", "CWR1\x03n:1", "CWX1\xffshort"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		peer, err := readIntroduction(r)
		if err != nil {
			return
		}
		used := b[:len(b)-r.Len()]
		if want := "CWX1" + string([]byte{byte(len(peer))}) + peer; string(used) != want {
			t.Errorf("%q was read from %q", peer, used)
		}
	})
}
