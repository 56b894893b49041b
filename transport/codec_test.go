package transport

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const fuzzFrameBytes = 8 << 10

// FuzzFrames reads arbitrary bytes as a connection would: no panic, no memory
// beyond what has arrived, and each frame that is accepted is the only encoding
// of what it says.
func FuzzFrames(f *testing.F) {
	part := bytes.Repeat([]byte("p"), minPartBytes)
	for _, frames := range [][]byte{
		frame(header{flags: flagHeartbeat}, nil),
		frame(header{id: 1, kind: 2, ring: 3, budget: 4}, []byte("request")),
		frame(header{id: 1, kind: 2, ring: 3, flags: flagAnswer}, []byte("answer")),
		append(frame(header{id: 1, flags: flagMore}, part), frame(header{id: 1, flags: flagPart}, part)...),
		append(frame(header{id: 1, flags: flagMore}, part), frame(header{id: 1, flags: flagPart | flagAbort}, nil)...),
		append(frame(header{id: 1, flags: flagMore}, part), frame(header{id: 2, flags: flagMore}, part)...),
		[]byte("\xff\xff\xff\xff and more"),
	} {
		f.Add(frames)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		a := assembler{max: 3 * minPartBytes}
		var again []byte
		for {
			h, payload, err := readFrame(r, fuzzFrameBytes)
			if err != nil {
				if !errors.Is(err, errMalformed) && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatalf("error %v", err)
				}
				break
			}
			again = appendFrame(again, h, payload)
			if !bytes.HasPrefix(b, again) {
				t.Fatalf("%+v and %d bytes are encoded in two ways", h, len(payload))
			}
			if h.has(flagHeartbeat) {
				continue
			}
			_, message, whole, err := a.add(h, payload)
			checkAssembler(t, &a)
			if err != nil {
				if !errors.Is(err, errMalformed) {
					t.Fatalf("error %v", err)
				}
				break
			}
			if whole && len(message) > len(again) {
				t.Fatalf("a message of %d bytes out of %d", len(message), len(again))
			}
		}
	})
}

// checkAssembler compares what is counted with what is kept.
func checkAssembler(t *testing.T, a *assembler) {
	t.Helper()
	var held int64
	for _, m := range a.open {
		for _, p := range m.parts {
			held += int64(len(p))
		}
		if m.drop && m.parts != nil {
			t.Fatal("a dropped message is kept")
		}
	}
	if held != a.held || held > a.max+fuzzFrameBytes {
		t.Fatalf("%d bytes kept, %d counted, at most %d", held, a.held, a.max)
	}
}

// FuzzParts sends messages of arbitrary sizes through the queue, with some
// cancelled, and compares what comes out of the assembler with what went in.
func FuzzParts(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint16(4096))
	f.Add([]byte{255, 0, 255, 7, 130, 129, 128}, uint16(5000))
	f.Fuzz(func(t *testing.T, sizes []byte, frameBytes uint16) {
		limit := int64(max(minFrameBytes, int(frameBytes)%fuzzFrameBytes))
		l := link{queue: newQueue(), frame: limit}
		l.queue.limit(limit, 300<<10)
		want := make(map[uint64][]byte)
		var later []*atomic.Bool // cancelled once the first parts have left
		for i, s := range sizes[:min(len(sizes), 50)] {
			id := uint64(i + 1)
			payload := bytes.Repeat([]byte{s}, int(s)*1000)
			over := new(atomic.Bool)
			over.Store(s%16 == 3)
			l.send(header{id: id, kind: s, ring: id, budget: 9}, payload, 0, 0, over)
			if !over.Load() || int64(len(payload)) <= limit { // a small message has left its sender's hands
				want[id] = payload
			}
			if s%16 == 5 {
				later = append(later, over)
			}
		}
		a := assembler{max: 300 << 10}
		for {
			b := l.queue.take()
			if len(b.buf) == 0 {
				break
			}
			r := bufio.NewReader(bytes.NewReader(b.buf))
			frames := 0
			for ; ; frames++ {
				h, payload, err := readFrame(r, int(limit))
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				head, message, whole, err := a.add(h, payload)
				if err != nil {
					t.Fatal(err)
				}
				checkAssembler(t, &a)
				if !whole {
					continue
				}
				if !bytes.Equal(message, want[h.id]) || head.ring != h.id || head.budget != 9 || head.flags != 0 {
					t.Fatalf("message %d: %+v, %d bytes, want %d", h.id, head, len(message), len(want[h.id]))
				}
				delete(want, h.id)
			}
			if frames != b.frames {
				t.Fatalf("%d frames in a batch of %d", frames, b.frames)
			}
			l.queue.written(b.buf)
			for _, over := range later {
				over.Store(true)
			}
		}
		for id, payload := range want {
			if payload[0]%16 == 5 {
				delete(want, id)
			}
		}
		if len(want) != 0 || a.held != 0 || l.queue.over(0, 0) {
			t.Fatalf("%d messages missing, %d bytes kept, waiting: %v", len(want), a.held, l.queue.over(0, 0))
		}
	})
}

func FuzzHello(f *testing.F) {
	for _, h := range []hello{rawHello(), rawHello(func(h *hello) { h.cluster = strings.Repeat("c", 255) })} {
		f.Add(h.append(nil)[magicBytes+6:])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := decodeHello(body)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		b := h.append(nil)
		if !bytes.HasPrefix(body, b[magicBytes+6:]) {
			t.Fatalf("%+v is encoded in two ways", h)
		}
		again, err := readHello(bytes.NewReader(b[magicBytes:]))
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func TestFrameDamage(t *testing.T) {
	whole := frame(header{id: 77, kind: 3, ring: 5, budget: 1000}, []byte("a payload"))
	for i := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := readFrame(bufio.NewReader(bytes.NewReader(b)), 1000); err == nil {
			t.Errorf("bit %d is wrong, and nobody sees it", i)
		}
	}
	for i := range whole {
		_, _, err := readFrame(bufio.NewReader(bytes.NewReader(whole[:i])), 1000)
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[i == 0]; err != want {
			t.Errorf("%d of %d bytes: %v, want %v", i, len(whole), err, want)
		}
	}
}

func TestAssemblerLimits(t *testing.T) {
	part := make([]byte, minPartBytes)
	begin := func(id uint64) header { return header{id: id, flags: flagMore} }
	on := func(id uint64) header { return header{id: id, flags: flagMore | flagPart} }
	for name, frames := range map[string][]header{
		"one message":       {begin(1), on(1), on(1), on(1)},
		"several messages":  {begin(1), begin(2), begin(3), begin(4)},
		"message unwanted":  {{id: 1}, on(1), on(1), on(1)}, // id 1 is refused below
		"one after another": {begin(1), {id: 1, flags: flagPart}, begin(1), on(1), {id: 1, flags: flagPart}},
	} {
		a := assembler{max: 3 * minPartBytes}
		var failed error
		for i, h := range frames {
			refuse := h == header{id: 1}
			if refuse {
				h = begin(1)
			}
			_, _, _, err := a.add(h, part)
			if refuse {
				a.refuse(1)
			}
			if failed = err; err != nil && i != len(frames)-1 {
				t.Errorf("%s: frame %d: %v", name, i, err)
			}
		}
		if over := name != "one after another"; over != errors.Is(failed, errMalformed) {
			t.Errorf("%s: the last frame: %v", name, failed)
		}
	}
}

// What is kept of messages that nobody wants is little, but it must not pile up.
func TestAssemblerForgottenMessagesAreBounded(t *testing.T) {
	part := make([]byte, minPartBytes)
	a := assembler{max: 1 << 20}
	for id := uint64(1); id <= 100_000; id++ {
		if _, _, _, err := a.add(header{id: id, flags: flagMore}, part); err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		a.refuse(id)
	}
	t.Errorf("%d messages are open at once", len(a.open))
}

func TestMilliseconds(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000,
		100 * 24 * time.Hour: math.MaxUint32, math.MaxInt64: math.MaxUint32, -5: 1,
	} {
		if got := milliseconds(d); got != want {
			t.Errorf("milliseconds(%d) = %d, want %d", d, got, want)
		}
	}
}
