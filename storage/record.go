package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Every database value is sealed: checksum (CRC-32C, 4 bytes) | form (1 byte) | body. The
// checksum covers the database key as well, so a value under a wrong key is found too.
const (
	formRecord byte = 1 // body: a vclock.Record
	formHead   byte = 2 // body: a head
	formChunk  byte = 3 // body: a part of a vclock.Record
	formNote   byte = 4 // body: an unsigned integer, 8 bytes
)

const sealBytes = 5

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, rest []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rest)
}

// newValue returns an empty value of a form with room for n bytes of body; the caller appends the
// body and calls seal.
func newValue(form byte, n int) []byte {
	return append(make([]byte, 4, sealBytes+n), form)
}

// seal completes the value of key and returns it.
func seal(key, value []byte) []byte {
	binary.BigEndian.PutUint32(value, checksum(key, value[4:]))
	return value
}

// unseal returns the form and body of a value read under key. The body aliases value.
func unseal(key, value []byte) (form byte, body []byte, err error) {
	if len(value) < sealBytes {
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrCorrupt, len(value))
	}
	if want, got := binary.BigEndian.Uint32(value), checksum(key, value[4:]); want != got {
		return 0, nil, fmt.Errorf("%w: checksum %08x, stored %08x", ErrCorrupt, got, want)
	}
	return value[4], value[sealBytes:], nil
}

// head describes a record that is kept in chunks. The zero head means none.
type head struct {
	generation uint64 // distinguishes these chunks from those of the record's other versions
	count      uint32 // chunks, at least 1
	length     uint64 // bytes of the record
	sum        uint32 // CRC-32C of the record
}

const headBytes = 8 + 4 + 8 + 4

func (h head) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.generation)
	dst = binary.BigEndian.AppendUint32(dst, h.count)
	dst = binary.BigEndian.AppendUint64(dst, h.length)
	return binary.BigEndian.AppendUint32(dst, h.sum)
}

func decodeHead(b []byte) (head, error) {
	if len(b) != headBytes {
		return head{}, fmt.Errorf("%w: head of %d bytes", ErrCorrupt, len(b))
	}
	h := head{
		generation: binary.BigEndian.Uint64(b), count: binary.BigEndian.Uint32(b[8:]),
		length: binary.BigEndian.Uint64(b[12:]), sum: binary.BigEndian.Uint32(b[20:]),
	}
	if h.generation == 0 || h.count == 0 {
		return head{}, fmt.Errorf("%w: head without chunks", ErrCorrupt)
	}
	return h, nil
}

// note returns the value of key that holds n.
func note(key []byte, n uint64) []byte {
	return seal(key, binary.BigEndian.AppendUint64(newValue(formNote, 8), n))
}

func decodeNote(key, value []byte) (uint64, error) {
	form, body, err := unseal(key, value)
	if err != nil {
		return 0, err
	}
	if form != formNote || len(body) != 8 {
		return 0, fmt.Errorf("%w: form %d with %d bytes is no note", ErrCorrupt, form, len(body))
	}
	return binary.BigEndian.Uint64(body), nil
}
