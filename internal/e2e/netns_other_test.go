//go:build !linux

package e2e

import "testing"

func TestNamespaces(t *testing.T) { t.Skip("network namespaces exist on Linux only") }
