package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"cartwheel/quorum"
	"cartwheel/vclock"
)

// What a forwarded put ended with; the first byte of its answer.
const (
	resultOK = iota
	resultUnsatisfied
	resultTimeout
	resultNotReady
	resultOverloaded
	resultClosed
	resultLevel
	resultRefused
)

// plainErrors are the errors without numbers of their own.
var plainErrors = map[byte]error{
	resultTimeout:    quorum.ErrTimeout,
	resultNotReady:   quorum.ErrNotReady,
	resultOverloaded: quorum.ErrOverloaded,
	resultClosed:     quorum.ErrClosed,
}

func encodeResult(res quorum.PutResult, err error, body bool) []byte {
	if err == nil {
		b := appendReceipt([]byte{resultOK}, res.Receipt)
		if !body {
			res.Object = vclock.Object{}
		}
		return res.Object.Append(b)
	}
	// First, as its causes are errors of the other kinds.
	if e, ok := errors.AsType[*quorum.UnsatisfiedError](err); ok {
		b := appendBytes([]byte{resultUnsatisfied}, e.Level)
		b = binary.AppendUvarint(b, uint64(e.Got))
		b = binary.AppendUvarint(b, uint64(e.Want))
		b = appendReceipt(appendBool(b, e.Written), e.Receipt)
		causes := e.Causes[:min(len(e.Causes), maxCauses)]
		b = binary.AppendUvarint(b, uint64(len(causes)))
		for _, cause := range causes {
			b = appendRefusal(b, cause)
		}
		return b
	}
	if e, ok := errors.AsType[*quorum.LevelError](err); ok && e.Value >= 0 {
		b := appendBytes([]byte{resultLevel}, e.Level)
		b = binary.AppendUvarint(b, uint64(e.Value))
		return binary.AppendUvarint(b, uint64(e.N))
	}
	for code, plain := range plainErrors {
		if errors.Is(err, plain) {
			return []byte{code}
		}
	}
	return appendRefusal([]byte{resultRefused}, err)
}

// maxCauses bounds the replicas' reasons that travel with a missed level: those of all owners
// at any usual N.
const maxCauses = 8

// appendRefusal writes any error as a refusal.
func appendRefusal(b []byte, err error) []byte {
	return appendBytes(append(b, byte(reasonOf(err))), err.Error())
}

func (r *reader) refusal() *quorum.RefusedError {
	return &quorum.RefusedError{Reason: quorum.Reason(r.uint(uint64(lastReason))), Text: string(r.bytes())}
}

// reasonOf returns the reason of an error that is a refusal, Failed for any other.
func reasonOf(err error) quorum.Reason {
	if e, ok := errors.AsType[*quorum.RefusedError](err); ok {
		return e.Reason
	}
	return quorum.Failed
}

// decodeResult returns the result or the error of the coordinator that the put was forwarded
// to; malformed says that the bytes are neither.
func decodeResult(b []byte) (res quorum.PutResult, err, malformed error) {
	if len(b) == 0 {
		return res, nil, fmt.Errorf("%w: empty result", errMalformed)
	}
	r := reader{rest: b[1:]}
	switch code := b[0]; code {
	case resultOK:
		res.Receipt = r.receipt()
		res.Object = r.object()
	case resultUnsatisfied:
		e := &quorum.UnsatisfiedError{
			Level: string(r.bytes()), Got: int(r.uint(maxInt)), Want: int(r.uint(maxInt)),
			Written: r.bool(), Receipt: r.receipt(),
		}
		for range r.uint(maxCauses) {
			e.Causes = append(e.Causes, r.refusal())
		}
		err = e
	case resultLevel:
		err = &quorum.LevelError{Level: string(r.bytes()), Value: int(r.uint(maxInt)), N: int(r.uint(maxInt))}
	case resultRefused:
		err = r.refusal()
	default:
		if err = plainErrors[code]; err == nil {
			r.fail("unknown result")
		}
	}
	return res, err, r.end()
}

func appendReceipt(b []byte, c quorum.Receipt) []byte {
	for _, n := range [...]int{c.Replicas, c.Primaries, c.Fallbacks, c.Durable, c.N} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendBool(binary.AppendUvarint(b, c.Ring), c.Lossy)
}

func (r *reader) receipt() quorum.Receipt {
	n := func() int { return int(r.uint(maxInt)) }
	return quorum.Receipt{
		Replicas: n(), Primaries: n(), Fallbacks: n(), Durable: n(), N: n(),
		Ring: r.uint(1<<64 - 1), Lossy: r.bool(),
	}
}
