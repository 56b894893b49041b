package httpapi

import (
	"bytes"
	"compress/gzip"
	"io"
	"runtime"
	"sync"
)

// gzipSuffix ends the tag of a value that is sent compressed. The same value as it is has the
// tag without it, since two forms that differ in bytes must not have one strong tag. No tag
// of a value or of siblings ends so.
const gzipSuffix = ".gzip"

// gzipTag returns the quoted tag of a value's compressed form.
func gzipTag(etag string) string { return etag[:len(etag)-1] + gzipSuffix + `"` }

// isGzipTag reports whether tag is that of the compressed form of etag.
func isGzipTag(tag, etag string) bool {
	const end = gzipSuffix + `"`
	at := len(tag) - len(end)
	return at > 0 && len(etag) == at+1 && tag[at:] == end && tag[:at] == etag[:at]
}

// compressors hands out gzip writers. There are as many as can make headway at once: each
// takes some hundred KiB and, while it is in use, a processor.
type compressors struct {
	free    chan *gzip.Writer // nil ones are yet to be made
	buffers sync.Pool         // *bytes.Buffer
}

// maxPooledBuffer bounds the buffers that are kept for the next value.
const maxPooledBuffer = 256 << 10

func newCompressors() *compressors {
	c := &compressors{free: make(chan *gzip.Writer, 2*runtime.GOMAXPROCS(0))}
	for range cap(c.free) {
		c.free <- nil
	}
	c.buffers.New = func() any { return new(bytes.Buffer) }
	return c
}

// pack compresses a value. It returns nil if every writer is in use, unless must is set: then
// it waits for one, which is held no longer than it takes to compress one value. The buffer
// goes back by release.
func (c *compressors) pack(value []byte, must bool) *bytes.Buffer {
	var z *gzip.Writer
	if must {
		z = <-c.free
	} else {
		select {
		case z = <-c.free:
		default:
			return nil
		}
	}
	defer func() { c.free <- z }()
	out := c.buffers.Get().(*bytes.Buffer)
	out.Reset()
	if z == nil {
		// Values are compressed for one reader each time, so speed counts for more than the last percent.
		z, _ = gzip.NewWriterLevel(out, gzip.BestSpeed) // an error only for another level
	} else {
		z.Reset(out)
	}
	_, _ = z.Write(value) // a buffer takes everything
	_ = z.Close()
	z.Reset(io.Discard) // keeps no buffer
	return out
}

func (c *compressors) release(b *bytes.Buffer) {
	if b.Cap() <= maxPooledBuffer {
		c.buffers.Put(b)
	}
}

// sendValue sends a value as x.packing says. h has all headers of the value
// as it is, etag its tag. When there is no time to compress, the value goes
// as it is. The answer to a HEAD says no length of a compressed value, which is not known.
func (x *exchange) sendValue(status int, h *headers, etag string, value []byte) {
	if x.packing == unpacked {
		x.send(status, value)
		return
	}
	var out *bytes.Buffer
	if !x.head {
		if out = x.api.compressors.pack(value, x.packing == mustPack); out == nil {
			x.send(status, value)
			return
		}
		defer x.api.compressors.release(out)
	}
	h.set("ETag", gzipTag(etag))
	h.set("Content-Encoding", "gzip")
	if x.head {
		x.WriteHeader(status)
		return
	}
	x.send(status, out.Bytes())
}
