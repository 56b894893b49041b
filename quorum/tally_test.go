package quorum

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

var (
	readVotes  = []string{"v", "m", "fv", "fm", "x"}
	writeVotes = []string{"a", "d", "fa", "fd", "x"}
)

func count(votes []string, of ...string) int {
	n := 0
	for _, v := range votes {
		if slices.Contains(of, v) {
			n++
		}
	}
	return n
}

// naive finds the outcome by trying every way in which the open slots may vote, of which the
// last standIns only as fallbacks, and in which owners may yet replace the awaited ones among
// the votes of fallbacks, which come first.
func naive(votes []string, slots, standIns, awaited int, kinds []string, met func([]string) bool) outcome {
	if met(votes) {
		return won
	}
	if possible(votes, slots, standIns, awaited, kinds, met) {
		return pending
	}
	return lost
}

func possible(votes []string, slots, standIns, awaited int, kinds []string, met func([]string) bool) bool {
	if met(votes) {
		return true
	}
	if len(votes) < slots {
		for _, k := range kinds {
			if len(votes) >= slots-standIns && k[0] != 'f' && k != "x" {
				continue
			}
			if possible(append(slices.Clone(votes), k), slots, standIns, awaited, kinds, met) {
				return true
			}
		}
	}
	if awaited == 0 {
		return false
	}
	i := slices.IndexFunc(votes, func(v string) bool { return v[0] == 'f' })
	for _, k := range kinds {
		if k[0] == 'f' || k == "x" || votes[i] == "fv" && k == "m" {
			continue // a value stays one: what the owner lacks the fallback still has
		}
		owned := slices.Clone(votes)
		owned[i] = k
		if possible(owned, slots, standIns, awaited-1, kinds, met) {
			return true
		}
	}
	return false
}

// mayWait returns how many of the votes are of fallbacks whose owners may be awaited: a slot
// with nothing on a fallback is filled only where that counts.
func mayWait(votes []string, read *readTally) int {
	if read != nil && (count(votes, "v", "fv") == 0 || !read.notFoundOK) {
		return count(votes, "fv")
	}
	return count(votes, "fv", "fm", "fa", "fd")
}

// naiveRead says in the words of the documentation when a read has its answer.
func naiveRead(t *readTally) func([]string) bool {
	return func(votes []string) bool {
		l, n := t.levels, t.slots
		if count(votes, "v", "fv") > 0 {
			if t.notFoundOK {
				return count(votes, "v", "fv", "m", "fm") >= max(l.r, l.confirms) && count(votes, "v", "m") >= l.pr
			}
			return count(votes, "v", "fv") >= max(l.r, l.confirms) && count(votes, "v") >= l.pr
		}
		denials := count(votes, "m")
		if denials < l.r || denials < l.pr || denials < l.confirms {
			return false
		}
		return t.notFoundOK || denials == n || t.basicQuorum && denials > n/2
	}
}

func naiveWrite(t *writeTally) func([]string) bool {
	return func(votes []string) bool {
		l, acks := t.levels, count(votes, "a", "d", "fa", "fd")
		return acks >= max(l.w, l.dw, l.confirms) && count(votes, "a", "d") >= l.pw
	}
}

func TestTalliesAgainstNaive(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[outcome]int{}
	for range 20000 {
		n := 1 + rnd.IntN(5)
		level := func() int { return rnd.IntN(n + 1) }
		read := readTally{
			slots: n, levels: readLevels{r: max(1, level()), pr: level(), confirms: level()},
			notFoundOK: rnd.IntN(2) == 0, basicQuorum: rnd.IntN(2) == 0,
		}
		write := writeTally{slots: n, levels: writeLevels{w: level(), pw: level(), dw: max(1, level()), confirms: level()}}
		var reads, writes []string
		for i := rnd.IntN(n + 1); i > 0; i-- {
			reads = append(reads, readVotes[rnd.IntN(len(readVotes))])
			writes = append(writes, writeVotes[rnd.IntN(len(writeVotes))])
			voteRead(&read, reads[len(reads)-1])
			voteWrite(&write, writes[len(writes)-1])
		}
		read.standIns, write.standIns = rnd.IntN(read.open()+1), rnd.IntN(write.open()+1)
		fallbacksFirst(reads)
		fallbacksFirst(writes)
		read.awaited, write.awaited = rnd.IntN(mayWait(reads, &read)+1), rnd.IntN(mayWait(writes, nil)+1)
		got, want := read.outcome(), naive(reads, n, read.standIns, read.awaited, readVotes, naiveRead(&read))
		if got != want {
			t.Fatalf("read %+v after %v: %v, want %v", read, reads, got, want)
		}
		seen[got]++
		if got == lost {
			checkShortfall(t, read.shortfall(), map[string]int{"R": read.levels.r, "PR": read.levels.pr, "node_confirms": read.levels.confirms})
		}
		got, want = write.outcome(), naive(writes, n, write.standIns, write.awaited, writeVotes, naiveWrite(&write))
		if got != want {
			t.Fatalf("write %+v after %v: %v, want %v", write, writes, got, want)
		}
		seen[got]++
		if got == lost {
			checkShortfall(t, write.shortfall(), map[string]int{
				"W": write.levels.w, "PW": write.levels.pw, "DW": write.levels.dw, "node_confirms": write.levels.confirms,
			})
		}
	}
	if seen[pending] < 1000 || seen[won] < 1000 || seen[lost] < 1000 {
		t.Errorf("outcomes %v: the votes are not varied enough", seen)
	}
}

// fallbacksFirst sorts votes of fallbacks before the others, values first: those that may be
// awaited lead.
func fallbacksFirst(votes []string) {
	slices.SortStableFunc(votes, func(a, b string) int { return cmp.Compare(rankVote(a), rankVote(b)) })
}

func rankVote(v string) int {
	return slices.Index([]string{"fv", "fm", "fa", "fd", "v", "m", "a", "d", "x"}, v)
}

// checkShortfall checks that the level named was asked for and not reached.
func checkShortfall(t *testing.T, s shortfall, levels map[string]int) {
	t.Helper()
	if want, ok := levels[s.level]; !ok || s.want != want || s.got >= s.want || s.got < 0 {
		t.Fatalf("shortfall %+v of levels %v", s, levels)
	}
}

// Whatever votes follow, lost is never anything else again, and a write that is won stays so.
func TestOutcomesAreFinal(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		n := 1 + rnd.IntN(6)
		level := func() int { return rnd.IntN(n + 1) }
		read := readTally{
			slots: n, levels: readLevels{r: max(1, level()), pr: level(), confirms: level()},
			notFoundOK: rnd.IntN(2) == 0, basicQuorum: rnd.IntN(2) == 0,
		}
		write := writeTally{slots: n, levels: writeLevels{w: level(), pw: level(), dw: max(1, level()), confirms: level()}}
		wasRead, wasWrite := read.outcome(), write.outcome()
		for range n {
			voteRead(&read, readVotes[rnd.IntN(len(readVotes))])
			voteWrite(&write, writeVotes[rnd.IntN(len(writeVotes))])
			if wasRead == lost && read.outcome() != lost {
				t.Fatalf("read %+v is no longer lost", read)
			}
			if wasWrite != pending && write.outcome() != wasWrite {
				t.Fatalf("write %+v was %v", write, wasWrite)
			}
			wasRead, wasWrite = read.outcome(), write.outcome()
		}
		if wasRead == pending || wasWrite == pending {
			t.Fatalf("pending after all votes: %+v, %+v", read, write)
		}
	}
}
