package node

import "syscall"

// maxClientConns bounds the clients' connections of a node.
const maxClientConns = 10_000

// clientConns returns how many connections clients may have open: half of the files that the
// process may, since the store and the peers must never lack one.
func clientConns() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return maxClientConns
	}
	return clientConnsOf(files.Cur)
}

func clientConnsOf(files uint64) int { return int(max(1, min(maxClientConns, files/2))) }
