//go:build !linux

package datadir

import (
	"errors"
	"testing"
)

func unixMountReadOnly(_, _ string) error { return errors.ErrUnsupported }

func unmount(*testing.T, string) {}
