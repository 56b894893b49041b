package httpapi

import (
	"time"

	"cartwheel/props"
	"cartwheel/quorum"
)

// level turns a quorum as properties and parameters spell it into the coordinator's.
func level(q props.Quorum) quorum.Level {
	switch q {
	case props.Majority:
		return quorum.LevelQuorum
	case props.All:
		return quorum.LevelAll
	}
	return quorum.Level(q)
}

// fold resolves what a request asks for against its bucket's properties: a parameter that is
// not given is what the named consistency says, if there is one, else the bucket's; a timeout
// that is not given is the API's. Levels beyond n_val are the coordinator's to refuse, since it
// knows which of them the request uses.
func fold(p *params, b props.Properties, timeout, maxTimeout time.Duration) quorum.Options {
	b = p.consistency.levels(b)
	return quorum.Options{
		N:  b.NVal,
		R:  p.r.or(level(b.R)),
		PR: p.pr.or(level(b.PR)),
		W:  p.w.or(level(b.W)),
		PW: p.pw.or(level(b.PW)),
		// A write that no store has taken is no write: dw=0 means dw=1.
		DW:           atLeastOne(p.dw.or(level(b.DW))),
		NodeConfirms: p.nodeConfirms.or(level(b.NodeConfirms)),
		NotFoundOK:   p.notFoundOK.or(b.NotFoundOK),
		BasicQuorum:  p.basicQuorum.or(b.BasicQuorum),
		RepairBefore: p.repairBefore.or(b.ReadRepairBefore),
		Sloppy:       p.sloppy.or(b.SloppyQuorum),
		Lossy:        b.Lossy(),
		Timeout:      min(p.timeout.or(timeout), maxTimeout),
	}
}

// foldDelete is fold for a delete, whose R and W are its rw unless r or w is given.
func foldDelete(p *params, b props.Properties, timeout, maxTimeout time.Duration) quorum.Options {
	o := fold(p, b, timeout, maxTimeout)
	if !p.r.set && !p.w.set {
		rw := p.rw.or(level(p.consistency.levels(b).RW))
		o.R, o.W = rw, rw
	}
	return o
}

func atLeastOne(l quorum.Level) quorum.Level {
	if l == 0 {
		return 1
	}
	return l
}
