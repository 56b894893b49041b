package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cartwheel/chaos"
	"cartwheel/node"
)

// envPrefix is before every flag's name as an environment variable.
const envPrefix = "CARTWHEEL_"

func newServeCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve --name NAME --data DIR --http HOST:PORT --peer HOST:PORT",
		Short: "Run one node",
		Long: `Run one node until it is told to stop by SIGINT or SIGTERM.

Every flag can also be given as an environment variable (--log-level as ` + envPrefix + `LOG_LEVEL)
and as a key of the YAML file that --config names. A flag beats the environment, the
environment beats the file.

The first ring of a cluster is made of --expect nodes that --join each other; only then does
any of them serve. A node that was a member before finds its cluster again by itself.`,
		Args: arguments(0, 0),
	}
	addServeFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := serveConfig(cmd.Flags(), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		if watch, _ := cmd.Flags().GetBool("until-stdin-closes"); watch {
			var stop context.CancelFunc
			ctx, stop = context.WithCancel(ctx)
			defer stop()
			// Not waited for: a read of stdin cannot be interrupted, and the process ends next.
			go func() {
				_, _ = io.Copy(io.Discard, cmd.InOrStdin()) // end or error: the parent has gone
				stop()
			}()
		}
		if fds, given := os.LookupEnv(chaos.Variable); given { // by "dev --chaos" alone
			switches, err := chaos.Inherit(fds, cfg.Peer)
			if err != nil {
				return usageError{err}
			}
			defer switches.Close()
			cfg.Network = switches.Network()
		}
		n, err := node.New(cfg)
		if err != nil {
			return err
		}
		self := n.Self()
		cfg.Logger.Info("node starts", "name", self.Name, "uuid", self.UUID, "http", self.HTTP, "peer", self.Peer,
			"durability", cfg.Durability.String(), "version", version)
		if cfg.Insecure {
			cfg.Logger.Warn("--insecure: whoever reaches the ports can read and write everything")
		}
		return n.Run(ctx)
	}
	return cmd
}

func addServeFlags(f *pflag.FlagSet) {
	f.String("name", "", "the node's name, unique in the cluster")
	f.String("data", "", "data directory; made if missing")
	f.String("http", "127.0.0.1:8098", "HOST:PORT for clients")
	f.String("peer", "127.0.0.1:8099", "HOST:PORT for all traffic between nodes, TCP and UDP")
	f.String("advertise", "", "host at which the others reach this node (default: the host of --peer)")
	f.StringSlice("join", nil, "PEER_HOST:PORT of another node; repeat it or separate by commas")
	f.Int("expect", 1, "members of the first ring")
	f.String("zone", "", "failure zone; replicas are spread over zones")
	f.Int("weight", 1, "share of the data relative to other nodes, 1 to 100")
	f.Int("partitions", 256, "partitions of a new ring, a power of two")
	f.Int("n", 3, "replicas of each key in a new ring")
	f.String("durability", "fsync", "when a write counts: fsync (on the disk) or os (in the page cache)")
	f.Bool("default-allow-mult", true, "keep siblings in buckets of the type default that do not say otherwise; false: last write wins")
	f.Bool("insecure", false, "listen on addresses other than loopback although nothing authenticates clients and peers")
	f.Bool("accept-empty-store", false, "start although the objects are gone of a node that no other member has copies of")
	f.String("log-level", "info", "debug, info, warn or error")
	f.String("config", "", "YAML file with any of these flags as keys")
	f.Bool("until-stdin-closes", false, "stop when standard input ends")
	_ = f.MarkHidden("until-stdin-closes") // for "dev", whose nodes must not outlive it
}

// serveConfig folds flags, environment and file together.
func serveConfig(f *pflag.FlagSet, logs io.Writer) (node.Config, error) {
	k, from, err := settings(f)
	if err != nil {
		return node.Config{}, err
	}
	// A zero in the node's configuration means its default; said by the operator it is a mistake.
	for _, key := range []string{"expect", "weight", "partitions", "n"} {
		if k.Int(key) == 0 {
			return node.Config{}, from.name(fmt.Errorf("%s 0: use at least 1", key))
		}
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(k.String("log-level"))); err != nil {
		return node.Config{}, from.name(fmt.Errorf("log-level %q: use debug, info, warn or error", k.String("log-level")))
	}
	cfg := node.Config{
		Name: k.String("name"), DataDir: k.String("data"), HTTP: k.String("http"), Peer: k.String("peer"),
		Advertise: k.String("advertise"), Join: k.Strings("join"), Expect: k.Int("expect"),
		Zone: k.String("zone"), Weight: k.Int("weight"), Partitions: k.Int("partitions"), N: k.Int("n"),
		NoDefaultSiblings: !k.Bool("default-allow-mult"), AcceptEmptyStore: k.Bool("accept-empty-store"), Insecure: k.Bool("insecure"), Version: version,
		Logger: slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: level})),
	}
	if cfg.Durability, err = node.ParseDurability(k.String("durability")); err != nil {
		return node.Config{}, from.name(err)
	}
	if err := cfg.WithDefaults().Validate(); err != nil {
		return node.Config{}, from.name(err)
	}
	return cfg, nil
}

// origins says for each setting that no flag gave which variable or file did.
type origins map[string]string

// name makes err a usage error. Each of its lines begins with a setting's name, and gets that
// setting's origin put before it.
func (o origins) name(err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		setting := line[:strings.IndexAny(line+":", " :")]
		if origin, ok := o[setting]; ok {
			lines[i] = origin + ": " + line
		}
	}
	return usagef("%s", strings.Join(lines, "\n"))
}

// settings reads the layers, the weakest first.
func settings(f *pflag.FlagSet) (*koanf.Koanf, origins, error) {
	k, from := koanf.New("."), origins{}
	fromEnv := env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "_", "-")
		switch {
		case f.Lookup(key) == nil:
			return "", nil // another command's, such as CARTWHEEL_ENDPOINT
		case key == "join":
			return key, strings.Split(value, ",")
		}
		return key, value
	}})
	if err := k.Load(fromEnv, nil); err != nil {
		return nil, nil, usagef("read the environment: %v", err)
	}
	for _, key := range k.Keys() {
		from[key] = envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
	}
	path, _ := f.GetString("config")
	if path == "" {
		path = k.String("config")
	}
	if path != "" {
		inFile := koanf.New(".")
		if err := inFile.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, nil, usagef("configuration file %s: %v", path, err)
		}
		for _, key := range inFile.Keys() {
			if f.Lookup(key) == nil {
				return nil, nil, usagef("configuration file %s: there is no setting %q; the flags of \"cartwheel serve\" are the settings", path, key)
			}
			if from[key] == "" {
				from[key] = "configuration file " + path
			}
		}
		// The file is the weakest: what the environment has goes on top of it.
		if err := inFile.Merge(k); err != nil {
			return nil, nil, fmt.Errorf("merge the configuration: %w", err)
		}
		k = inFile
	}
	// The environment and the file give texts and YAML values; the flags know what they must be.
	typed := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addServeFlags(typed)
	for _, key := range k.Keys() {
		if typed.Lookup(key) == nil {
			continue // a flag of all commands
		}
		text := k.String(key)
		if key == "join" {
			text = strings.Join(k.Strings(key), ",")
		}
		if err := typed.Set(key, text); err != nil {
			return nil, nil, from.name(fmt.Errorf("%s %q: %w", key, text, errors.Unwrap(err)))
		}
	}
	f.Visit(func(flag *pflag.Flag) { delete(from, flag.Name) }) // a flag beats them all
	if err := k.Load(posflag.Provider(f, ".", k), nil); err != nil {
		return nil, nil, usagef("read the flags: %v", err)
	}
	return k, from, nil
}
