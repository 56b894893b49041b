//go:build !linux

package staleness

import "time"

// coarse is 0 where the runtime's timers are precise.
const coarse = 0

func fine(time.Duration) {}
