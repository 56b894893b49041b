package load

import "bytes"

// maxChunkLine bounds the line before a chunk, with the end of the chunk before it.
const maxChunkLine = 1 << 10

// readChunks reads a chunked body and its trailer.
func (a *answerReader) readChunks(keep bool) error {
	a.chunks = a.chunks[:0]
	for total := int64(0); ; {
		a.head = maxChunkLine
		line, err := a.line()
		if err != nil {
			return noEOF(err)
		}
		size, ok := parseChunkSize(line)
		if total += size; !ok || total > maxBodyBytes {
			return malformed("chunk %.40q", line)
		}
		if size == 0 {
			break
		}
		if keep {
			if err := a.keep(int(size)); err != nil {
				return err
			}
			a.chunks = append(a.chunks, a.body...)
		} else if err := a.drop(size); err != nil {
			return err
		}
		if line, err := a.line(); err != nil {
			return noEOF(err)
		} else if len(line) != 0 {
			return malformed("a chunk longer than it says")
		}
	}
	a.body = nil
	if keep {
		a.body = a.chunks
	}
	a.head = maxHeadBytes
	for {
		line, err := a.line() // of the trailer
		if err != nil {
			return noEOF(err)
		}
		if len(line) == 0 {
			return nil
		}
	}
}

// parseChunkSize returns the size of a chunk, at most maxBodyBytes. Extensions are ignored.
func parseChunkSize(line []byte) (int64, bool) {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 8 {
		return 0, false
	}
	var n int64
	for _, c := range line {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int64(c)
	}
	return n, n <= maxBodyBytes
}
