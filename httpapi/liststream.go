package httpapi

import (
	"context"
	"errors"
	"time"
)

const (
	// streamBytes is how large an object of a stream may become, and flushEvery how long its
	// names may wait for more.
	streamBytes = 64 << 10
	flushEvery  = 100 * time.Millisecond
	// quiet is how long a stream may be silent before an empty object shows that it lives.
	quiet = 10 * time.Second
)

// listStream answers with one object after the other as the names come, each in a chunk of
// its own; the last one has no names, or is an error.
func (a *API) listStream(ctx context.Context, x *exchange, l listRequest) {
	w := stream{page: page{l: &l}, x: x, object: []byte(`{"` + l.noun + `":[`), turn: make(chan struct{}, 1)}
	if l.props {
		w.head = append(a.appendProps([]byte{'{'}, &l), '}')
	}
	w.names = append(w.names, w.object...)
	w.open()
	defer w.stop()
	w.end(a.cfg.Lister.List(ctx, l.query, w.visit))
}

// stream is an answer that is sent piece by piece: by visit, and by a timer where the names
// come slowly. The timer does nothing once stop has returned.
type stream struct {
	x      *exchange
	head   []byte // an object to send first
	object []byte // how each of the others begins

	turn   chan struct{} // a lock (of which synctest knows, unlike a mutex): full while someone uses what follows
	page   page
	names  []byte // the object that is being made
	some   bool   // it has names
	sent   bool   // something was
	closed bool
	gone   error // the error of sending, which ends the listing
	timer  *time.Timer
	due    time.Time // when it shall fire
}

// open starts the timer: the client learns soon that there is an answer, also if no name has
// been found yet.
func (w *stream) open() {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.due = time.Now().Add(flushEvery)
	w.timer = time.AfterFunc(flushEvery, w.tick)
}

// tick is what the timer does.
func (w *stream) tick() {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	// Whoever held the lock meanwhile may have sent all there was, and set the timer anew.
	if !w.closed && !time.Now().Before(w.due) {
		w.flush()
	}
}

// visit takes names from the lister.
func (w *stream) visit(names []string) error {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	for _, name := range w.page.take(names) {
		if w.some {
			w.names = append(w.names, ',')
		}
		w.some = true
		w.names = appendName(w.names, name, w.page.l.escaped)
		if len(w.names) >= streamBytes {
			w.flush()
		}
	}
	switch {
	case w.some && !w.sent:
		w.flush()
	case w.some && time.Until(w.due) > flushEvery:
		w.wait(flushEvery)
	}
	if w.gone != nil {
		return w.gone
	}
	return w.page.enough()
}

// wait sets the timer. w.turn is taken.
func (w *stream) wait(d time.Duration) {
	w.due = time.Now().Add(d)
	w.timer.Reset(d)
}

// flush sends the object that is being made, if only to show that the list goes on. w.turn is
// taken.
func (w *stream) flush() {
	w.push(append(w.names, "]}"...))
	w.names, w.some = append(w.names[:0], w.object...), false
	w.wait(quiet)
}

// push sends one object, after the head. w.turn is taken, or the timer stopped.
func (w *stream) push(object []byte) {
	if !w.sent && w.head != nil {
		w.gone = w.x.push(w.head)
	}
	w.sent = true
	if w.gone == nil {
		w.gone = w.x.push(object)
	}
}

// stop ends the timer's part in the answer.
func (w *stream) stop() {
	w.turn <- struct{}{}
	defer func() { <-w.turn }()
	w.closed = true
	w.timer.Stop()
}

// end sends what is left of a listing that ended with err.
func (w *stream) end(err error) {
	w.stop()
	failed := err != nil && !errors.Is(err, errEnough)
	switch {
	case w.gone != nil:
		return
	case failed && !w.sent:
		w.x.failList(err)
		return
	case w.some:
		w.push(append(w.names, "]}"...))
		w.names = append(w.names[:0], w.object...)
	}
	if failed {
		w.push(appendError(nil, listFailure(err)))
		return
	}
	w.push(append(w.page.appendTail(append(w.names, ']')), '}'))
}
