package quorum

import "fmt"

// readLevels are the levels of one read as numbers. r is at least 1: a read answers what
// some replica said.
type readLevels struct{ r, pr, confirms int }

// writeLevels are the levels of one write as numbers. dw is at least 1, also for w=0: an
// answer that no store stands behind would acknowledge nothing.
type writeLevels struct{ w, pw, dw, confirms int }

// resolve turns a level into a number. Words follow members, the replicas that the ring has
// room for; a number is taken as it is, as long as the bucket's n allows it.
func (l Level) resolve(name string, n, members int) (int, error) {
	switch {
	case l == LevelQuorum:
		return members/2 + 1, nil
	case l == LevelAll:
		return members, nil
	case l < 0 || int(l) > n:
		return 0, &LevelError{Level: name, Value: int(l), N: n}
	}
	return int(l), nil
}

// named is a level with the name it has in errors.
type named struct {
	name  string
	level Level
}

func resolveAll(n, members int, levels ...named) ([4]int, error) {
	var out [4]int
	for i, l := range levels {
		v, err := l.level.resolve(l.name, n, members)
		if err != nil {
			return out, err
		}
		out[i] = v
	}
	return out, nil
}

// readLevels resolves the levels of a read for a ring with room for members replicas, at
// most o.N. The error is a *LevelError. A level may lie above members; it is out of reach
// then, which the tally says.
func (o *Options) readLevels(members int) (readLevels, error) {
	v, err := resolveAll(o.N, members, named{"R", o.R}, named{"PR", o.PR}, named{"node_confirms", o.NodeConfirms})
	return readLevels{r: max(v[0], 1), pr: v[1], confirms: v[2]}, err
}

// writeLevels is readLevels for a write.
func (o *Options) writeLevels(members int) (writeLevels, error) {
	v, err := resolveAll(o.N, members,
		named{"W", o.W}, named{"PW", o.PW}, named{"DW", o.DW}, named{"node_confirms", o.NodeConfirms})
	return writeLevels{w: v[0], pw: v[1], dw: max(v[2], 1), confirms: v[3]}, err
}

func (l Level) String() string {
	switch l {
	case LevelQuorum:
		return "quorum"
	case LevelAll:
		return "all"
	}
	return fmt.Sprint(int(l))
}
