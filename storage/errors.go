package storage

import (
	"errors"
	"fmt"
)

var (
	// ErrFenced is wrapped by the error of every write after the store fenced itself; the text
	// says why and what to do. The outcome of a write that was under way is unknown.
	ErrFenced = errors.New("storage: fenced")
	// ErrClosed is the error of operations after Close.
	ErrClosed = errors.New("storage: closed")
	// ErrBusy is the error of writes that find the queue full. Nothing was written.
	ErrBusy = errors.New("storage: too many writes are waiting")
	// ErrHintsFull is wrapped by the error of a Put or Merge of a hint that Config.MaxHintBytes has no
	// room for. Nothing was written and no dot was minted.
	ErrHintsFull = errors.New("storage: no room for another hint")
	// ErrEmptied is wrapped by the error of Open when MustExist finds no database of the owner.
	ErrEmptied = errors.New("storage: the objects are gone")
	// ErrOwner is wrapped by the error of Open when the database belongs to another owner.
	ErrOwner = errors.New("storage: the objects belong to another node")
	// ErrCorrupt is wrapped by the error of a read whose record fails its checksum or its decoding.
	ErrCorrupt = errors.New("storage: corrupt record")
)

// TooLargeError refuses a put: its value, or the object with it, exceeds a limit. Nothing was
// written and no dot was minted.
type TooLargeError struct {
	Size, Limit int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("storage: %d bytes exceed the limit of %d", e.Size, e.Limit)
}

// TooManySiblingsError refuses a put that would leave an object with more siblings than the
// limit. Nothing was written and no dot was minted.
type TooManySiblingsError struct {
	Count, Limit int
}

func (e *TooManySiblingsError) Error() string {
	return fmt.Sprintf("storage: %d siblings exceed the limit of %d; read the object and write back with its context", e.Count, e.Limit)
}
