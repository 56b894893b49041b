package listing

import (
	"container/heap"
	"context"
	"slices"
	"strings"
)

// A source is a stream as the merge sees it: its names ascend.
type source struct {
	s    *stream
	head string // the next name; only of sources in the heap
	rest string // of the page, behind head
}

// merger merges the streams of a run into one ascending list without duplicates.
type merger struct {
	r       *run
	heads   []*source // a heap, smallest head first
	waiting []*source // whose next page is to come
	batch   []string
	visit   func([]string) error
	last    string
	any     bool // last is set
	left    int  // names that may still come; -1 for any number
}

// merge visits the names of all partitions, sorted as they lie in the stores, up to the limit.
func (r *run) merge(visit func([]string) error) error {
	m := &merger{r: r, visit: visit, left: -1}
	if r.q.Limit > 0 {
		m.left = r.q.Limit
	}
	if err := m.open(r.all(), ""); err != nil {
		return err
	}
	for m.left != 0 {
		if err := m.fill(); err != nil {
			return err
		}
		if len(m.heads) == 0 {
			break
		}
		if err := m.take(); err != nil {
			return err
		}
	}
	return m.flush()
}

// open lets partitions be asked for.
func (m *merger) open(partitions []uint16, from string) error {
	list, err := m.r.assign(partitions, from)
	if err != nil {
		return err
	}
	m.r.start(list, len(list)+len(m.heads)+len(m.waiting), func() chan event { return make(chan event) })
	for _, s := range list {
		m.waiting = append(m.waiting, &source{s: s})
	}
	return nil
}

// fill waits until every source has a head or is at its end.
func (m *merger) fill() error {
	for len(m.waiting) > 0 {
		src := m.waiting[len(m.waiting)-1]
		e, err := m.receive(src)
		if err != nil {
			return err
		}
		switch {
		case e.page != nil:
			m.waiting = m.waiting[:len(m.waiting)-1]
			src.rest = e.page.list
			m.push(src)
		case e.left != nil:
			// All names of the source below that bound were taken: those of the others go on there.
			m.r.failed(e)
			if err := m.open(e.left, e.from); err != nil {
				return err
			}
		default:
			m.waiting = m.waiting[:len(m.waiting)-1]
		}
	}
	return nil
}

// receive returns the next event of a source. What is found goes out before there is a wait.
func (m *merger) receive(src *source) (event, error) {
	select {
	case e := <-src.s.out:
		return e, nil
	default:
	}
	if err := m.flush(); err != nil {
		return event{}, err
	}
	select {
	case e := <-src.s.out:
		return e, nil
	case <-m.r.ctx.Done():
		return event{}, ended(m.r.ctx)
	}
}

// take moves the smallest name to the batch.
func (m *merger) take() error {
	src := m.heads[0]
	name := src.head
	if src.rest == "" {
		heap.Pop((*heads)(&m.heads))
		m.waiting = append(m.waiting, src)
	} else {
		src.head, src.rest, _ = cutName(src.rest) // checked by decodeAnswer
		heap.Fix((*heads)(&m.heads), 0)
	}
	if m.any && name == m.last {
		return nil // a bucket that others have, too
	}
	m.last, m.any = name, true
	m.batch = append(m.batch, name)
	if m.left > 0 {
		m.left--
	}
	if len(m.batch) == batchNames {
		return m.flush()
	}
	return nil
}

// push gives a source with a page its place among the heads.
func (m *merger) push(src *source) {
	src.head, src.rest, _ = cutName(src.rest)
	heap.Push((*heads)(&m.heads), src)
}

func (m *merger) flush() error {
	if len(m.batch) == 0 {
		return nil
	}
	err := m.visit(m.batch)
	m.batch = m.batch[:0]
	return err
}

// heads implements heap.Interface.
type heads []*source

func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].head < h[j].head }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(*source)) }
func (h *heads) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// sortedBuckets visits buckets sorted by bytes. They come by length first, so each pass over all of
// them keeps the smallest ones that fit; there is a second pass only for more names than that.
func (c *Coordinator) sortedBuckets(ctx context.Context, q Query, visit func([]string) error) error {
	pass := q
	pass.Limit, pass.Sorted = 0, false
	for left := q.Limit; ; {
		keep := smallest{limit: left, bytes: c.cfg.SortBytes}
		err := c.buckets(ctx, pass, func(names []string) error {
			for _, name := range names {
				keep.add(name)
			}
			return nil
		})
		if err != nil {
			return err
		}
		names := keep.sorted()
		for batch := range slices.Chunk(names, batchNames) {
			if err := visit(batch); err != nil {
				return err
			}
		}
		if left -= len(names); !keep.dropped || left == 0 {
			return nil
		}
		pass.Start = names[len(names)-1] + "\x00"
	}
}

// smallest keeps the smallest names that were added: at most limit (0 or less: any number), and at least
// one, whose bytes do not exceed a bound.
type smallest struct {
	limit   int
	bytes   int
	names   largestFirst
	used    int
	dropped bool // some were added and are not kept
}

// smallestOverhead is what a name takes besides its bytes.
const smallestOverhead = 24

func (k *smallest) full() bool {
	return k.limit > 0 && len(k.names) > k.limit || k.used > k.bytes && len(k.names) > 1
}

func (k *smallest) add(name string) {
	if k.dropped && name > k.names[0] {
		return
	}
	heap.Push(&k.names, strings.Clone(name)) // not to pin a page
	k.used += len(name) + smallestOverhead
	for k.full() {
		k.used -= len(heap.Pop(&k.names).(string)) + smallestOverhead
		k.dropped = true
	}
}

// sorted returns what was kept, ascending. Nothing may be added after it.
func (k *smallest) sorted() []string {
	slices.Sort(k.names)
	return k.names
}

// largestFirst implements heap.Interface.
type largestFirst []string

func (h largestFirst) Len() int           { return len(h) }
func (h largestFirst) Less(i, j int) bool { return h[i] > h[j] }
func (h largestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *largestFirst) Push(x any)        { *h = append(*h, x.(string)) }
func (h *largestFirst) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
