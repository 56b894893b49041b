package staleness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cartwheel/bench/load"
)

// afterError is how long a probe waits after a request without an answer.
const afterError = 20 * time.Millisecond

// maxSiblings is how many siblings of one answer are looked at.
const maxSiblings = 128

// conn is a connection to a node: a *load.Conn, or in tests something in memory.
type conn interface {
	Get(key string) (load.Answer, error)
	Put(key string, value, context []byte) (load.Answer, error)
	Usable() bool
	Close() error
}

// dialTCP connects to a node, for reads with that query.
func (r *run) dialTCP(ctx context.Context, target, query string) (conn, error) {
	c := &r.cfg
	made, err := load.Dial(ctx, target, load.ConnConfig{
		Bucket: c.Bucket, Type: c.Type, GetQuery: query, PutQuery: c.PutQuery, Timeout: c.Timeout,
	})
	if err != nil {
		return nil, err // and no conn that holds a nil pointer
	}
	return made, nil
}

// session is a connection to one node that is made when it is needed, and anew after an error. One
// goroutine uses it.
type session struct {
	run    *run
	target string
	query  string // of reads
	conn   conn
	unbind func() bool
}

func (r *run) session(target, query string) *session {
	return &session{run: r, target: target, query: query}
}

// ready connects if needed.
func (s *session) ready(ctx context.Context) error {
	if s.conn != nil && s.conn.Usable() {
		return nil
	}
	s.close()
	made, err := s.run.dial(ctx, s.target, s.query)
	if err != nil {
		return err
	}
	s.conn = made
	s.unbind = context.AfterFunc(ctx, func() { made.Close() }) // ends a request under way
	return nil
}

func (s *session) close() {
	if s.conn != nil {
		s.unbind()
		s.conn.Close()
		s.conn = nil
	}
}

// statusError is an answer that is none.
type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

// put writes. Nil: the write is acknowledged.
func (s *session) put(key string, value, context []byte) error {
	a, err := s.conn.Put(key, value, context)
	if err == nil && a.Status/100 != 2 {
		err = statusError(a.Status)
	}
	return err
}

// get reads: the newest version that the answer has, 0 for none, and its context, which is
// valid until the next request.
func (s *session) get(ctx context.Context, key string) (seq int64, context []byte, err error) {
	a, err := s.conn.Get(key)
	switch {
	case err != nil:
		return 0, nil, err
	case a.Status == http.StatusOK:
		return newest(a.Body), a.Vclock, nil
	case a.Status == http.StatusNotFound:
		return 0, a.Vclock, nil
	case a.Status != http.StatusMultipleChoices:
		return 0, nil, statusError(a.Status)
	}
	if seq = newest(a.Body); seq == 0 { // a list of tags
		seq, err = s.siblings(ctx, key, a.Body)
	}
	return seq, a.Vclock, err
}

// siblings reads the siblings of an answer one by one, by their tags: so what is looked at is
// what was there when the answer was given. It is out of the measured time.
func (s *session) siblings(ctx context.Context, key string, list []byte) (seq int64, err error) {
	tags := bytes.Fields(list)
	if len(tags) > 0 {
		tags = tags[1:] // "Siblings:"
	}
	for _, tag := range tags[:min(len(tags), maxSiblings)] {
		one, err := s.sibling(ctx, key, string(tag))
		if err != nil {
			return 0, err
		}
		seq = max(seq, one)
	}
	return seq, nil
}

func (s *session) sibling(ctx context.Context, key, tag string) (int64, error) {
	c := &s.run.cfg
	path := "http://" + s.target
	if c.Type != "" {
		path += "/types/" + url.PathEscape(c.Type)
	}
	query := strings.TrimPrefix(s.query+"&vtag="+url.QueryEscape(tag), "&")
	path += "/buckets/" + url.PathEscape(c.Bucket) + "/keys/" + url.PathEscape(key) + "?" + query
	body, status, err := s.run.fetch(ctx, path, maxValue)
	switch {
	case err != nil:
		return 0, err
	case status != http.StatusOK: // 404 as well: it was replaced meanwhile, and its version is not known
		return 0, statusError(status)
	}
	return newest(body), nil
}

// fetch reads a page that is not part of what is measured, up to limit bytes of it.
func (r *run) fetch(ctx context.Context, address string, limit int64) (body []byte, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	answer, err := r.pages.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(io.LimitReader(answer.Body, limit))
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", address, err)
	}
	return body, answer.StatusCode, nil
}

// kind names an error as a result does.
func kind(err error) string {
	if e, ok := errors.AsType[statusError](err); ok {
		return strconv.Itoa(int(e))
	}
	switch {
	case errors.Is(err, load.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, load.ErrMalformed):
		return "malformed"
	}
	return "connection"
}

// wait blocks for about d, or until ctx ends, then false. It may be some 65 us too short.
func wait(ctx context.Context, d time.Duration) bool {
	if d > coarse {
		t := time.NewTimer(d - coarse)
		defer t.Stop()
		begin := time.Now()
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
		}
		d -= time.Since(begin)
	}
	if d > 0 {
		fine(d)
	}
	return ctx.Err() == nil
}
