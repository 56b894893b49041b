package listing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Walker walks over the names of the records of one store at one snapshot, in the order of their
// bytes; see storage.Names, which is one.
type Walker interface {
	// Seek goes to the first record of a partition whose name is not below name, Next to the one
	// after the present one. They report whether there is one; if not, Err says why, nil at the end.
	Seek(partition uint16, name string) bool
	Next() bool
	Err() error
	Name() []byte        // of the present record, until the next step
	Live() (bool, error) // whether it is of an object that is not deleted; an error for a damaged one
	Bytes() int64        // about what Live reads
}

// budget bounds what a page may cost. Each partition that is merged gets its share, and at least
// one record, so that every page gets somewhere.
type budget struct {
	time    time.Duration
	records int
	read    int64 // bytes of the store
}

// A page is being made for a request.
type page struct {
	q     *request
	space space
	w     Walker
	until time.Time
	cost  budget
	mem   *scratch

	names  []byte // of the answer, in memory that is used again
	count  uint64
	looked int   // records
	read   int64 // bytes
}

// refusalError says that the page cannot be made as long as it includes a partition.
type refusalError struct{ refusal }

func (e *refusalError) Error() string { return "listing: " + e.text }

func refuse(at int, format string, args ...any) error {
	return &refusalError{refusal{at, fmt.Sprintf(format, args...)}}
}

// scratch is memory of one page after the other: a listing makes thousands.
type scratch struct {
	names []byte // of the answer
	found []byte // of all partitions, when they are merged
	refs  []ref
}

// makePage answers q, whose partitions may all be answered for. The answer's names are in mem.
func makePage(q *request, w Walker, cost budget, mem *scratch) (answer, error) {
	p := &page{
		q: q, space: newSpace(q.mode, q.typ, q.bucket, q.prefix, q.start), w: w,
		until: time.Now().Add(cost.time), cost: cost, mem: mem, names: mem.names[:0],
	}
	walk := p.merged
	if q.mode.inTurn() {
		walk = p.inTurn
	}
	a, err := walk()
	if r, ok := errors.AsType[*refusalError](err); ok {
		return answer{refused: []refusal{r.refusal}}, nil
	}
	if err != nil {
		return answer{}, err
	}
	a.count, a.names, mem.names = p.count, p.names, p.names
	return a, nil
}

// seek goes to the first record at or above a bound, next to the one after. Both report false
// beyond the records of the space.
func (p *page) seek(at int, bound string) bool {
	return p.w.Seek(p.q.partitions[at], p.space.base+bound) && hasPrefix(p.w.Name(), p.space.base)
}

func (p *page) next() bool { return p.w.Next() && hasPrefix(p.w.Name(), p.space.base) }

func (p *page) suffix() []byte { return p.w.Name()[len(p.space.base):] }

// live looks at the present record. A damaged one may be anything: somebody else has to answer.
func (p *page) live(at int) (bool, error) {
	p.read += p.w.Bytes()
	live, err := p.w.Live()
	if err != nil {
		return false, refuse(at, "the record of %.64q is damaged there", p.suffix())
	}
	return live, nil
}

// walked says whether the walk over a partition came to an end, rather than to damage.
func (p *page) walked(at int) error {
	if err := p.w.Err(); err != nil {
		return refuse(at, "%v", err)
	}
	return nil
}

// late reports whether the page's time is over. The clock is not read for each record.
func (p *page) late() bool { return p.looked%16 == 0 && !time.Now().Before(p.until) }

// add puts a name on the page.
func (p *page) add(entry []byte) {
	p.count++
	if p.q.mode != countKeys {
		p.names = append(binary.AppendUvarint(p.names, uint64(len(entry))), entry...)
	}
}

// full reports whether a page in turn has to end.
func (p *page) full() bool {
	return len(p.names) >= p.q.pageBytes || p.q.names > 0 && p.count >= uint64(p.q.names) ||
		p.looked >= p.cost.records || p.read >= p.cost.read || p.late()
}

func (p *page) inTurn() (answer, error) {
	from := p.q.from
	for at := range p.q.partitions {
		if at > 0 && p.full() {
			return answer{finished: at}, nil
		}
		ok := p.seek(at, max(from, p.space.first()))
		for from = ""; ok; ok = p.next() {
			if p.looked > 0 && p.full() {
				return answer{finished: at, from: string(p.suffix())}, nil
			}
			p.looked++
			do, entry, _, err := p.space.step(p.suffix())
			if err != nil {
				return answer{}, err
			}
			if do == stop {
				break
			}
			live, err := p.live(at)
			if err != nil {
				return answer{}, err
			}
			if live {
				p.add(entry)
			}
		}
		if err := p.walked(at); err != nil {
			return answer{}, err
		}
	}
	return answer{finished: len(p.q.partitions)}, nil
}
