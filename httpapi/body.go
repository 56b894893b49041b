package httpapi

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
)

// body reads the value. It is refused before it is read if the client says how long it is,
// else as soon as it grows too long; what the client still sends then is the server's to
// drop, which closes the connection if it is much.
func (a *API) body(x *exchange, r *http.Request) ([]byte, *failure) {
	value, err := readBody(x, r, a.cfg.MaxValueBytes)
	if err != nil {
		return nil, x.bodyFailure(err)
	}
	if want := header(r.Header, "Content-Md5"); want != "" {
		sum := md5.Sum(value)
		if got, err := base64.StdEncoding.DecodeString(want); err != nil || !bytes.Equal(got, sum[:]) {
			f := bad(badBody, "Content-MD5 does not match the body")
			return nil, &f
		}
	}
	return value, nil
}

// bodyFailure answers for a body that could not be read.
func (x *exchange) bodyFailure(err error) *failure {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &failure{status: http.StatusRequestEntityTooLarge, reason: valueTooLarge,
			text: "the value is longer than " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes\n"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.Header()["Connection"] = []string{"close"}
		return &failure{status: http.StatusRequestTimeout, reason: badBody, text: "the body did not come in time\n"}
	case errors.Is(err, errNoRoom):
		x.Header()["Connection"] = []string{"close"}
		return &failure{http.StatusServiceUnavailable, overloaded, "the bodies of other requests take the memory that there is for them; try again later\n", true}
	case errors.Is(err, context.Canceled):
		return &failure{status: statusClientGone, reason: badBody, text: "the client is gone\n"}
	}
	x.Header()["Connection"] = []string{"close"}
	f := bad(badBody, "the body cannot be read to its end")
	return &f
}

// readBody returns the whole body, or *http.MaxBytesError if it is longer than limit.
func readBody(x *exchange, r *http.Request, limit int64) ([]byte, error) {
	switch n := r.ContentLength; {
	case n > limit:
		return nil, &http.MaxBytesError{Limit: limit}
	case n == 0:
		return nil, nil
	case n > 0:
		return x.readLength(r.Body, int(n))
	}
	return io.ReadAll(chunkedBody{http.MaxBytesReader(x.ResponseWriter, r.Body, limit), x})
}

// maxBodies bounds what bodies take in memory in one node, as long as their requests are not
// answered; the rest of a body for which there is no room is not read, and its request is 503.
// What a body needs at first is not counted: the bound of connections bounds that.
const maxBodies = 512 << 20

var errNoRoom = errors.New("bodies take too much memory")

// take counts n bytes of a body.
func (x *exchange) take(n int) error {
	if x.api.bodies.Add(int64(n)) > x.api.bodyRoom {
		x.api.bodies.Add(-int64(n))
		return errNoRoom
	}
	x.taken += int64(n)
	return nil
}

// chunkedBody is a body of unknown length, counted as it comes.
type chunkedBody struct {
	io.Reader
	x *exchange
}

func (b chunkedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if full := b.x.take(n); full != nil {
		return n, full
	}
	return n, err
}

// firstBytes is how much memory a body gets before any of it has come: clients that announce
// a large one and send nothing shall not cost more.
const firstBytes = 64 << 10

// readLength reads n bytes.
func (x *exchange) readLength(r io.Reader, n int) ([]byte, error) {
	b := make([]byte, min(n, firstBytes))
	for at := 0; ; {
		got, err := io.ReadFull(r, b[at:])
		at += got
		if err != nil || at == n {
			return b[:at], err
		}
		size := min(n, 4*at)
		if err := x.take(size - len(b)); err != nil {
			return nil, err
		}
		more := make([]byte, size)
		copy(more, b)
		b = more
	}
}
