package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"cartwheel/quorum"
)

// exchange is one request on its way through the API: the ResponseWriter that handlers get,
// which keeps what the router found and what the counters need to know of the answer. It is
// used again for other requests, so nothing keeps it when its handler has returned.
type exchange struct {
	http.ResponseWriter
	api     *API
	match   mux.RouteMatch // of the path; its Vars are never nil
	start   time.Time
	op      op
	status  int     // 0 until the header is written
	head    bool    // a HEAD request: headers alone
	old     bool    // the path is an old one, and so are those of the answer
	packing packing // of the value
	notes   string  // what the receipt says beside the levels, each with a space before it
	taken   int64   // bytes of api.bodies
}

// release gives x back, empty but for its map.
func (x *exchange) release() {
	vars := x.match.Vars
	clear(vars)
	*x = exchange{api: x.api, match: mux.RouteMatch{Vars: vars}}
	x.api.exchanges.Put(x)
}

// WriteHeader notes the first status and passes it on.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write notes that the answer has begun and passes b on.
func (x *exchange) Write(b []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(b)
}

// Unwrap gives http.ResponseController the server's own writer.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// send writes header and body. A write error means that the client is gone, which the
// server notices by itself.
func (x *exchange) send(status int, body ...[]byte) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		n := 0
		for _, b := range body {
			n += len(b)
		}
		// Set by hand: the server would count only bodies that fit its buffer, and none of
		// the answers to HEAD.
		x.Header()["Content-Length"] = []string{strconv.Itoa(n)}
	}
	x.WriteHeader(status)
	if x.head {
		return
	}
	for _, b := range body {
		if _, err := x.Write(b); err != nil {
			return
		}
	}
}

// text answers with plain text, which should end in a newline.
func (x *exchange) text(status int, text string) {
	x.Header()["Content-Type"] = []string{"text/plain"}
	x.send(status, []byte(text))
}

// json answers with v. It must be a value that encoding/json can encode.
func (x *exchange) json(status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // addresses and arrows stay readable; nothing here is put into pages
	if err := enc.Encode(v); err != nil {
		panic("httpapi: encode an answer: " + err.Error())
	}
	x.Header()["Content-Type"] = []string{"application/json"}
	x.send(status, b.Bytes())
}

// jsonError answers with {"error": text}, the form of everything that is not the object API.
func (x *exchange) jsonError(status int, text string) {
	x.json(status, map[string]string{"error": text})
}

// refuse answers an object request with a failure and counts it.
func (x *exchange) refuse(f failure) {
	x.countRefusal(f)
	x.text(f.status, f.text)
}

// refuseJSON is refuse for the other resources.
func (x *exchange) refuseJSON(f failure) {
	x.countRefusal(f)
	x.jsonError(f.status, strings.TrimSuffix(f.text, "\n"))
}

func (x *exchange) countRefusal(f failure) {
	x.api.countRefusal(f)
	if f.retry {
		x.Header()["Retry-After"] = []string{"1"}
	}
}

func (a *API) countRefusal(f failure) {
	if f.reason != 0 {
		a.metrics.rejected[f.reason].Inc()
	}
}

// fail answers an object request with an error of the coordinator. written says that replicas
// may have been asked to write.
func (x *exchange) fail(err error, receipt quorum.Receipt, written bool) {
	f, r := x.api.failed(x.op, err, receipt, written)
	h := headers{h: x.Header(), notes: x.notes}
	h.receipt(r)
	x.refuse(f)
}

// failed is what the answer to fail consists of.
func (a *API) failed(op op, err error, receipt quorum.Receipt, written bool) (failure, quorum.Receipt) {
	f, r := classify(err)
	if written && errors.Is(err, quorum.ErrTimeout) {
		f.text += "The write may still become visible.\n"
	}
	if r == (quorum.Receipt{}) {
		r = receipt
	}
	if f.status == http.StatusInternalServerError {
		a.cfg.Logger.Error("request failed", "op", op.String(), "err", err)
	}
	return f, r
}

// headers sets single-valued headers by their spelling as given. All values share one array,
// so that a reply costs one allocation for them instead of one each.
type headers struct {
	h      http.Header
	values []string
	notes  string // for the receipt
}

func newHeaders(x *exchange) headers {
	return headers{h: x.Header(), values: make([]string, 0, 10), notes: x.notes}
}

func (s *headers) set(name, value string) {
	s.values = append(s.values, value)
	n := len(s.values)
	s.h[name] = s.values[n-1 : n : n]
}

// receipt says what was met; nothing if the request did not get as far as its owners.
func (s *headers) receipt(r quorum.Receipt) {
	if r.N > 0 {
		s.set("X-Cartwheel-Receipt", receiptText(r)+s.notes)
	}
}

func receiptText(r quorum.Receipt) string {
	b := make([]byte, 0, 96)
	b = strconv.AppendInt(append(b, "replicas="...), int64(r.Replicas), 10)
	b = strconv.AppendInt(append(b, " primaries="...), int64(r.Primaries), 10)
	b = strconv.AppendInt(append(b, " fallbacks="...), int64(r.Fallbacks), 10)
	b = strconv.AppendInt(append(b, " durable="...), int64(r.Durable), 10)
	b = strconv.AppendInt(append(b, " n="...), int64(r.N), 10)
	b = strconv.AppendUint(append(b, " ring="...), r.Ring, 10)
	if r.Lossy {
		b = append(b, " lossy=true"...)
	}
	return string(b)
}
