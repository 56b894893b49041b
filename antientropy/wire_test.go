package antientropy

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"cartwheel/vclock"
)

func object(run uint64, values ...string) vclock.Object {
	var r vclock.Record
	ids := vclock.NewActors(run)
	for _, v := range values {
		r = r.Put(vclock.Write{Value: []byte(v)}, ids)
	}
	return r.Object
}

// FuzzRequests: a request is refused or is exactly what its encoder writes.
func FuzzRequests(f *testing.F) {
	q := pair{3, 2}
	f.Add(uint8(kindRoots), encodeRoots(9, rootsRequest{[]int{1, 3}, []pair{q, {700, 3}}, []uint64{5, 6}}))
	f.Add(uint8(kindBranches), encodeBranches(9, []pair{q, q}))
	f.Add(uint8(kindLeaves), encodeLeaves(9, []leavesRequest{{q, 0x80000001}}))
	f.Add(uint8(kindKeys), encodeKeys(9, keysRequest{q, true, allLeaves(), "after"}))
	f.Add(uint8(kindFetch), encodeFetch(9, q, []string{"a", ""}))
	f.Add(uint8(kindRescan), encodeRescan(9, []uint16{1, 65535}))
	f.Add(uint8(kindDirty), encodeDirty(9, []dirtyMark{{"node", 4}}))
	f.Add(uint8(kindEnd), request(9))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		r := &reader{rest: b}
		version := r.uint(math.MaxUint64)
		var again []byte
		var err error
		switch kind {
		case kindRoots:
			var q rootsRequest
			q, err = r.roots()
			again = encodeRoots(version, q)
		case kindBranches:
			var list []pair
			list, err = r.branches()
			again = encodeBranches(version, list)
		case kindLeaves:
			var list []leavesRequest
			list, err = r.leaves()
			again = encodeLeaves(version, list)
		case kindKeys:
			var q keysRequest
			q, err = r.keys()
			again = encodeKeys(version, q)
		case kindFetch:
			var q pair
			var names []string
			q, names, err = r.fetch()
			again = encodeFetch(version, q, names)
		case kindRescan:
			var list []uint16
			list, err = r.rescan()
			again = encodeRescan(version, list)
		case kindDirty:
			var list []dirtyMark
			list, err = r.dirty()
			again = encodeDirty(version, list)
		default:
			err = r.end()
			again = request(version)
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("kind %d: decoded %x, encoded %x", kind, b, again)
		}
	})
}

// FuzzAnswers: an answer is refused or is exactly what its encoder writes.
func FuzzAnswers(f *testing.F) {
	o := object(1, "a", "b")
	f.Add(uint8(0), "", 2, appendRoot(appendRoot(nil, rootReply{stateDiffers, 7, 8}), rootReply{}))
	f.Add(uint8(1), "", 1, appendHashes([]byte{byte(stateOK)}, [fanout]uint64{1, 2}))
	f.Add(uint8(2), "a", 0, appendPage(nil, page{entries: []entry{{"b", 5, o}, {"c", corruptDigest, o}}, upto: "d"}, false))
	f.Add(uint8(3), "a", 0, appendPage(nil, page{entries: []entry{{"b", 5, o}, {"c", corruptDigest, o}}, done: true}, true))
	f.Add(uint8(4), "", 3, appendFetched(appendFetched(nil, fetched{stateOK, o}), fetched{state: stateMissing}))
	f.Fuzz(func(t *testing.T, kind uint8, after string, n int, b []byte) {
		if n < 0 || n > 100 {
			return
		}
		var again []byte
		var err error
		switch kind {
		case 0:
			var list []rootReply
			list, err = decodeRootReplies(b, n)
			for _, a := range list {
				again = appendRoot(again, a)
			}
		case 1:
			groups := slices.Repeat([]int{1}, n)
			var all [][][fanout]uint64
			all, err = decodeHashes(b, groups)
			for _, h := range all {
				if h == nil {
					again = append(again, byte(stateRebuilding))
				} else {
					again = appendHashes(append(again, byte(stateOK)), h[0])
				}
			}
		case 2, 3:
			var p page
			p, err = decodePage(b, kind == 3, after)
			again = appendPage(again, p, kind == 3)
			if err == nil && !p.done && p.upto <= after {
				t.Errorf("a page after %q up to %q gets nowhere", after, p.upto)
			}
		case 4:
			var list []fetched
			list, err = decodeFetched(b, n)
			for _, o := range list {
				again = appendFetched(again, o)
			}
		default:
			return
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Errorf("kind %d: decoded %x, encoded %x", kind, b, again)
		}
	})
}

// FuzzServe: whatever a member sends is answered or refused.
func FuzzServe(f *testing.F) {
	c := newCluster(f, 2, 4)
	for i := range 50 {
		c.everywhere(nameOf("b", i), "v")
	}
	c.build()
	q := pair{1, 3}
	f.Add(uint8(kindRoots), encodeRoots(1, rootsRequest{[]int{3}, []pair{q}, []uint64{5}}))
	f.Add(uint8(kindBranches), encodeBranches(1, []pair{q}))
	f.Add(uint8(kindLeaves), encodeLeaves(1, []leavesRequest{{q, 3}}))
	f.Add(uint8(kindKeys), encodeKeys(1, keysRequest{q, false, allLeaves(), ""}))
	f.Add(uint8(kindKeys), encodeKeys(1, keysRequest{q, true, allLeaves(), "\x07"}))
	f.Add(uint8(kindFetch), encodeFetch(1, q, c.nodes[0].store.names(1)[:3]))
	f.Add(uint8(kindRescan), encodeRescan(1, []uint16{1, 60000}))
	f.Add(uint8(kindDirty), encodeDirty(1, []dirtyMark{{"node-1", 1}}))
	f.Add(uint8(kindEnd), request(1))
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		answer, err := c.nodes[0].k().Serve("node-1", kind, b)
		if err == nil && len(answer) == 0 {
			t.Error("no answer")
		}
	})
}

func TestDecodePageRefuses(t *testing.T) {
	entries := func(names ...string) (list []entry) {
		for _, n := range names {
			list = append(list, entry{name: n, digest: 5})
		}
		return list
	}
	for _, c := range []struct {
		what  string
		after string
		p     page
		ok    bool
	}{
		{"the last page", "a", page{entries("b", "c"), "", true}, true},
		{"a page without keys that gets somewhere", "a", page{nil, "b", false}, true},
		{"out of order", "", page{entries("c", "b"), "", true}, false},
		{"twice the same", "", page{entries("b", "b"), "", true}, false},
		{"from before the start", "b", page{entries("b"), "", true}, false},
		{"beyond its end", "a", page{entries("c"), "b", false}, false},
		{"gets nowhere", "b", page{nil, "b", false}, false},
		{"done with a bound", "a", page{nil, "b", true}, false},
		{"a missing object", "a", page{[]entry{{name: "b"}}, "", true}, false},
	} {
		if _, err := decodePage(appendPage(nil, c.p, false), false, c.after); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// A count in a short message makes nobody allocate.
func TestHugeCounts(t *testing.T) {
	b := binary.AppendUvarint(request(1), 1<<40)
	r := &reader{rest: b[1:]}
	if list, err := r.branches(); err == nil || len(list) > 0 {
		t.Errorf("%d pairs, %v", len(list), err)
	}
	if _, err := decodeFetched(nil, 1); err == nil {
		t.Error("an answer without an object is taken")
	}
}

func TestJoin(t *testing.T) {
	list := func(s string) (l []entry) { // "a1b2": names and digests
		for i := 0; i < len(s); i += 2 {
			l = append(l, entry{name: s[i : i+1], digest: uint64(s[i+1] - '0')})
		}
		return l
	}
	for _, c := range []struct{ local, remote, want string }{
		{"", "", ""},
		{"a1b2", "a1b2", ""},
		{"a1", "", "a10"},
		{"", "a1", "a01"},
		{"a1c3", "b2c4", "a10b02c34"},
		{"b1", "a1b1c1", "a01c01"},
	} {
		got := ""
		for _, d := range join(list(c.local), list(c.remote)) {
			got += d.name + string('0'+byte(d.local.digest)) + string('0'+byte(d.remote.digest))
		}
		if got != c.want {
			t.Errorf("join(%q, %q) = %q, want %q", c.local, c.remote, got, c.want)
		}
	}
}

// What both sides are given makes them equal, and nothing is sent to a side that has it.
func TestRepaired(t *testing.T) {
	a, b := object(1, "a"), object(2, "b")
	both, _ := vclock.Merge(a, b)
	e := func(o vclock.Object) entry { return entry{digest: digestOf(o), object: o} }
	bad, none := entry{digest: corruptDigest}, entry{}
	for _, c := range []struct {
		what          string
		local, remote entry
		to, from      vclock.Object
	}{
		{"concurrent", e(a), e(b), b, both},
		{"remote is newer", e(a), e(both), both, vclock.Object{}},
		{"local is newer", e(both), e(b), vclock.Object{}, both},
		{"missing here", none, e(b), b, vclock.Object{}},
		{"missing there", e(a), none, vclock.Object{}, a},
		{"corrupt here", bad, e(b), b, vclock.Object{}},
		{"corrupt there", e(a), bad, vclock.Object{}, a},
		{"corrupt here, missing there", bad, none, vclock.Object{}, vclock.Object{}},
	} {
		to, from := (&difference{local: c.local, remote: c.remote}).repaired()
		if !to.Equal(c.to) || !from.Equal(c.from) {
			t.Errorf("%s: merge here %v, there %v", c.what, to, from)
		}
	}
}
