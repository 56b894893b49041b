package storagetest

import (
	"encoding/binary"
	"hash/crc32"
)

// Layout of a Badger v4 log, from its memtable.go and structs.go: a header, then entries of
// meta (1 byte) | user meta (1) | key length (uvarint) | value length (uvarint) | expiry (uvarint) |
// key | value | CRC-32C (4). A transaction is a run of entries that ends with one marked bitFinTxn.
const (
	logHeaderBytes = 20
	bitFinTxn      = 1 << 7
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scanLog returns where the whole entries of a log end and where the last transaction begins,
// complete or not.
func scanLog(log []byte) (lastTxn, end int) {
	at := min(logHeaderBytes, len(log))
	lastTxn = at
	finished := false // the entry before at ended a transaction
	for {
		n, meta := scanEntry(log[at:])
		if n == 0 {
			return lastTxn, at
		}
		if finished {
			lastTxn = at
		}
		finished = meta&bitFinTxn != 0
		at += n
	}
}

// scanEntry returns the length of the entry that b begins with, 0 if there is no whole one.
func scanEntry(b []byte) (n int, meta byte) {
	if len(b) < 2 {
		return 0, 0
	}
	at := 2
	var lengths [3]uint64
	for i := range lengths {
		v, size := binary.Uvarint(b[at:])
		if size <= 0 {
			return 0, 0
		}
		lengths[i], at = v, at+size
	}
	key, value := lengths[0], lengths[1]
	if key == 0 || key > uint64(len(b)) || value > uint64(len(b)) || at+int(key+value)+4 > len(b) {
		return 0, 0
	}
	at += int(key + value)
	if crc32.Checksum(b[:at], castagnoli) != binary.BigEndian.Uint32(b[at:]) {
		return 0, 0
	}
	return at + 4, b[0]
}
