package main

import (
	"strings"

	"cartwheel/client"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const quorumWords = " (a number, one, quorum, all or default)"

// addCommonFlags adds what reads and writes share.
func addCommonFlags(f *pflag.FlagSet, key *client.Key, q *client.Quorum) {
	f.StringVar(&key.Type, "type", "", "bucket type; none means the default type")
	f.StringVar(&q.NodeConfirms, "node-confirms", "", "distinct nodes that must answer"+quorumWords)
	f.StringVar(&q.Consistency, "consistency", "", "a level by name: fast, default, safe or strict; numbers given beside it win")
	f.DurationVar(&q.Timeout, "timeout", 0, "how long a node may work on it, such as 500ms")
}

func addReadFlags(f *pflag.FlagSet, q *client.Quorum) {
	f.StringVar(&q.R, "r", "", "replicas that must answer the read"+quorumWords)
	f.StringVar(&q.PR, "pr", "", "owners among them that must answer"+quorumWords)
	f.StringVar(&q.NotFoundOK, "notfound-ok", "", "whether \"not found\" counts as an answer")
	f.StringVar(&q.BasicQuorum, "basic-quorum", "", "whether to give up once a majority has not found the key")
	f.StringVar(&q.ReadRepair, "read-repair", "", "repair stale replicas before or after the answer")
	f.Lookup("notfound-ok").NoOptDefVal = "true"
	f.Lookup("basic-quorum").NoOptDefVal = "true"
}

func addWriteFlags(f *pflag.FlagSet, q *client.Quorum) {
	f.StringVar(&q.W, "w", "", "replicas that must confirm the write"+quorumWords)
	f.StringVar(&q.PW, "pw", "", "owners among them that must confirm"+quorumWords)
	f.StringVar(&q.DW, "dw", "", "replicas that must have it in their store"+quorumWords)
}

// addRequestIDFlag adds the id under which a write can be repeated.
func addRequestIDFlag(f *pflag.FlagSet, id *string) {
	f.StringVar(id, "request-id", "", "32 hex digits; a write repeated under the same id is stored once (default: a fresh one)")
}

// requestID returns the id that the flag gave, or a fresh one.
func requestID(given string) (string, error) {
	switch {
	case given == "":
		return client.NewRequestID(), nil
	case len(given) != 32 || strings.Trim(given, "0123456789abcdefABCDEF") != "":
		return "", usagef("--request-id %q is not 32 hex digits", given)
	}
	return given, nil
}

func addJSONFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON")
}

// pairs turns name=value arguments into a map.
func pairs(flag string, args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	m := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return nil, usagef("--%s %q is not of the form name=value", flag, arg)
		}
		m[name] = value
	}
	return m, nil
}
