package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// The formats that this build writes. Each changes only together with the package that owns
// it: the protocol between nodes, and the data directory.
const (
	protocolVersion = 1
	diskFormat      = 1
)

func newVersionCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of its formats",
		Args:  arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if asJSON {
				return printJSON(out, map[string]any{
					"version": version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
					"protocol": protocolVersion, "disk_format": diskFormat,
				})
			}
			_, err := fmt.Fprintf(out, "cartwheel %s\ngo: %s %s/%s\nprotocol between nodes: %d\ndisk format: %d\n",
				version, runtime.Version(), runtime.GOOS, runtime.GOARCH, protocolVersion, diskFormat)
			return err
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}
