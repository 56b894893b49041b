package quorum

import (
	"time"

	"cartwheel/ring"
	"cartwheel/vclock"
)

// Level is how many replicas a request needs: a number, or a word that follows the
// effective N of the request.
type Level int

// The levels that are words. "one" is 1; "default" is resolved before a request gets here.
const (
	LevelQuorum Level = -1 // floor(N/2) + 1
	LevelAll    Level = -2 // N
)

// Options steer one request. They come resolved: bucket properties and request parameters
// are already folded together.
type Options struct {
	N            int           // replicas of the bucket, its n_val; at least 1
	R, PR        Level         // replicas, of them primaries, that must answer a read
	W, PW, DW    Level         // the same for a write; DW: that have it in their store
	NodeConfirms Level         // distinct nodes that must answer
	NotFoundOK   bool          // a primary's "not found" counts toward R
	BasicQuorum  bool          // give up as soon as floor(N/2)+1 replicas have not found the key
	RepairBefore bool          // read repair of owners ends before the answer (monotonic reads at quorums of primaries) instead of after it
	Sloppy       bool          // a fallback may fill the slot of an owner that is away; without it what fallbacks keep counts for nothing
	Lossy        bool          // last-write-wins bucket: one value is shown, a put takes the local clock as read
	Timeout      time.Duration // of the whole request; 0 or less has run out already
}

// GetRequest asks for an object.
type GetRequest struct {
	Key       ring.Key
	RequestID vclock.RequestID // of a write that GetResult.Did is to tell of; zero: of none
	Options
}

// GetResult answers a get. A missing object and a deleted one are answers, not errors.
type GetResult struct {
	Object  vclock.Object // merged from the replicas that answered; shared, read-only
	Did     bool          // a replica that answered knows the write of the request: it holds its value, or remembers that it was replaced
	Receipt Receipt
}

// PutRequest writes a value or, with Deleted, a tombstone.
type PutRequest struct {
	Key         ring.Key
	Context     vclock.Clock     // what the client had read; nil for a blind write
	RequestID   vclock.RequestID // must be set: a retry with the same id mints no second dot where the first is known
	Deleted     bool
	ContentType string
	Meta        []vclock.Pair
	Value       []byte
	Expiry      int64 // unix milliseconds; 0 never
	ReturnBody  bool  // PutResult.Object is wanted, also when the write was forwarded
	Options
}

// PutResult answers a put.
type PutResult struct {
	Object  vclock.Object // the object after the write; always set when coordinated here, else with ReturnBody; shared, read-only
	Receipt Receipt
}

// DeleteRequest deletes an object. Without HasContext the object is read first (with R and
// PR) and the tombstone is written with the clock just read.
type DeleteRequest struct {
	Key        ring.Key
	Context    vclock.Clock
	HasContext bool
	RequestID  vclock.RequestID
	Options
}

// DeleteResult answers a delete. NotFound: nothing live was there, nothing was written;
// Object is what was read then.
type DeleteResult struct {
	NotFound bool
	Object   vclock.Object
	Receipt  Receipt
}

// Receipt says what was really met by the time of the answer.
type Receipt struct {
	Replicas  int    // distinct nodes that answered in time with what was asked
	Primaries int    // of them owners of the key
	Fallbacks int    // of them nodes that stood in for an owner
	Durable   int    // of them that had the write fsynced; 0 for reads
	N         int    // effective N
	Ring      uint64 // ring version of the request
	Lossy     bool   // the bucket shows one value and drops concurrent ones
}

// Target names the key of one replica operation.
type Target struct {
	Name      string // canonical name of the key (ring.Key.Name)
	Partition uint16
	N         int    // owners of the key's bucket
	Ring      uint64 // the coordinator's ring version
	For       string // uuid of the owner that the asked node stands in for; "": it is asked as an owner
}

// Replica is one node of a preference list, this one or a peer; the coordinator cannot tell
// them apart. Every method returns at once; its Done is called exactly once, from any
// goroutine or inline, also when the budget ran out, and must not block. Read and Merge may
// be repeated without harm; a Forward may be repeated with the same request id.
type Replica interface {
	Read(Read)
	Merge(Merge)
	Forward(Forward)
}

// Read asks a replica for its copy, or for the digest of it only. A node that stands in for
// an owner (Target.For) answers the merge of the hints that it holds for any of Owners.
type Read struct {
	Target
	Owners []string // uuids of the key's owners, with For only; every node knows them by its ring: see [View.Owners]
	Digest bool
	Did    vclock.RequestID // a write that ReadReply.Did is to tell of; zero: of none
	Budget time.Duration
	Done   func(ReadReply)
}

// ReadReply is a replica's copy: with Read.Digest only Missing, Digest and Did are set. These
// are set in both forms.
type ReadReply struct {
	Object  vclock.Object
	Missing bool
	Did     bool // see [GetResult]
	Digest  uint64
	Err     error
}

// Merge hands a whole object to a replica, which merges it into its copy, or, standing in for
// an owner, into the hint that it holds for it. Object and Encoded are the same object; both
// are shared and read-only.
type Merge struct {
	Target
	Object  vclock.Object
	Encoded []byte
	Budget  time.Duration
	Done    func(WriteReply)
}

// WriteReply says that a replica has the object in its store (Err nil) and whether it is
// fsynced there.
type WriteReply struct {
	Durable bool
	Err     error
}

// Forward asks another node to coordinate a client's put. It never forwards again.
type Forward struct {
	Request PutRequest
	Ring    uint64 // the sender's ring version
	StandIn bool   // a node that owns no replica of the key may mint in place of an owner
	Budget  time.Duration
	Done    func(PutResult, error)
}

// Local is this node's own replica, the only place where a dot can be minted.
type Local interface {
	Replica
	// Mint applies the client's write to the local copy. Minted is called with the object
	// after the write before it is durable here (so that it can be sent to the other
	// replicas meanwhile), Done when it is or failed. Without a call of Minted, Done
	// carries an error. Neither may block. The object is shared and read-only.
	Mint(Mint)
}

// Mint is one client write at the local replica, to its own copy or, with Target.For, to the
// hint that it holds for that owner. A write whose id is known already mints
// nothing: Minted and Done get the object as it is.
type Mint struct {
	Target
	Write  vclock.Write
	Minted func(vclock.Object)
	Done   func(vclock.Object, WriteReply)
}

// View is what one request sees of the cluster: an immutable snapshot. Replicas and Alive
// are aligned with Ring.Members().
type View struct {
	Ring     *ring.Ring
	Self     int       // this node's index, -1 if it is no member
	Local    Local     // this node's replica
	Replicas []Replica // Replicas[Self] is Local
	Alive    []bool    // by gossip; a hint whom to ask, never a fact
}

// Owners returns the uuids of the owners of a target, nearest first. The slice is the
// caller's.
func (v *View) Owners(t Target) []string {
	list := v.Ring.Preference(t.Partition)
	list = list[:min(v.Ring.EffectiveN(t.N), len(list))]
	uuids := make([]string, len(list))
	for i, member := range list {
		uuids[i] = v.Ring.Members()[member].UUID
	}
	return uuids
}
