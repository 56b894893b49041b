package listing

import (
	"bytes"
	"slices"
	"time"
)

// merging is a merged page under way: what was found in the partitions so far.
type merging struct {
	*page
	known map[string]bool // found, for buckets: one live record is enough
	share budget          // of one walk
	bytes int             // of what one walk finds, beyond which it ends
	parts []walked        // that are not done
}

// walked is how far a partition was looked at.
type walked struct {
	at    int    // in the request
	reach string // everything below it was
}

// A ref is an entry among the bytes of all that was found.
type ref struct{ begin, end int }

const (
	// walksPerPage is into how many walks the share of a partition is cut. What is found beyond the place
	// that the slowest partition got to is thrown away: about half a walk each.
	walksPerPage = 4
	// leastRecords is how many records a walk looks at whatever the time.
	leastRecords = 8
)

// merged walks a bit over each partition from the same bound on, then goes on where it got the least
// far until the page is full or its cost is spent. What lies below the first place that was not
// got to is the answer.
func (p *page) merged() (answer, error) {
	walks := len(p.q.partitions) * walksPerPage
	m := &merging{page: p, share: budget{records: max(1, p.cost.records/walks), read: p.cost.read / int64(walks)}}
	// With a quarter more than fits the page is about full, as some is thrown away.
	enough := p.q.pageBytes * 5 / 4
	m.bytes = enough / walks
	if p.space.buckets {
		m.known = make(map[string]bool)
	}
	p.mem.found, p.mem.refs = p.mem.found[:0], p.mem.refs[:0]
	for at := range p.q.partitions {
		if err := m.walk(walked{at, max(p.q.from, p.space.first())}); err != nil {
			return answer{}, err
		}
	}
	for {
		i := m.behind()
		if i < 0 {
			return m.emit("", true), nil
		}
		least := m.parts[i]
		if len(m.mem.found) >= enough || p.q.names > 0 && len(m.mem.refs) >= 2*p.q.names || p.looked >= p.cost.records ||
			p.read >= p.cost.read || !time.Now().Before(p.until) {
			return m.emit(least.reach, false), nil
		}
		m.parts = slices.Delete(m.parts, i, i+1)
		if err := m.walk(least); err != nil {
			return answer{}, err
		}
	}
}

// behind returns which partition got the least far, -1 if all are done.
func (m *merging) behind() int {
	least := -1
	for i := range m.parts {
		p := &m.parts[i]
		if m.known != nil {
			if e := m.space.entryAt(p.reach); m.known[e] {
				p.reach = m.space.past(e) // another partition has told of that bucket
			}
		}
		if least < 0 || p.reach < m.parts[least].reach {
			least = i
		}
	}
	return least
}

// spent says whether a walk has had its share, after so many records, bytes read, and names and
// their bytes found.
func (m *merging) spent(records int, read int64, names, found int) bool {
	return records > 0 && (records >= m.share.records || read >= m.share.read || found >= m.bytes ||
		m.q.names > 0 && names >= m.q.names || records%leastRecords == 0 && !time.Now().Before(m.until))
}

// walk goes on in one partition from its reach, and keeps how far it got, unless it is done.
func (m *merging) walk(w walked) error {
	looked, read, found, names := m.looked, m.read, len(m.mem.found), len(m.mem.refs)
	ok := m.seek(w.at, w.reach)
	for ok {
		if m.spent(m.looked-looked, m.read-read, len(m.mem.refs)-names, len(m.mem.found)-found) {
			w.reach = string(m.suffix())
			m.parts = append(m.parts, w)
			return nil
		}
		m.looked++
		do, entry, next, err := m.space.step(m.suffix())
		switch {
		case err != nil:
			return err
		case do == stop:
			return nil
		case do == skip:
			ok = m.seek(w.at, next)
			continue
		case m.known[string(entry)]:
			ok = m.seek(w.at, m.space.past(string(entry)))
			continue
		}
		live, err := m.live(w.at)
		switch {
		case err != nil:
			return err
		case !live:
			ok = m.next()
			continue
		}
		begin := len(m.mem.found)
		m.mem.found = append(m.mem.found, entry...)
		m.mem.refs = append(m.mem.refs, ref{begin, len(m.mem.found)})
		if m.known == nil {
			ok = m.next()
			continue
		}
		e := string(entry)
		m.known[e] = true
		ok = m.seek(w.at, m.space.past(e))
	}
	return m.walked(w.at)
}

// emit makes the page of what lies below reach, or of all if done, as much as fits.
func (m *merging) emit(reach string, done bool) answer {
	refs, found := m.mem.refs, m.mem.found
	slices.SortFunc(refs, func(a, b ref) int { return bytes.Compare(found[a.begin:a.end], found[b.begin:b.end]) })
	for i, r := range refs {
		e := found[r.begin:r.end]
		if !done && string(e) >= reach {
			break
		}
		m.add(e)
		last := i == len(refs)-1
		if !last && (len(m.names) >= m.q.pageBytes || m.q.names > 0 && m.count >= uint64(m.q.names)) {
			if past := m.space.past(string(e)); done || past < reach {
				return answer{from: past}
			}
		}
	}
	if done {
		return answer{finished: len(m.q.partitions)}
	}
	return answer{from: reach}
}
