package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"cartwheel/client"

	"github.com/spf13/cobra"
)

func newTypeCmd(remote *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "type",
		Short: "Make, change and show bucket types",
		Long: `A bucket type is a set of properties under a name, and a name space of buckets that have them:
"cartwheel put --type TYPE BUCKET KEY VALUE". A property that a bucket sets itself wins over its type's,
and the type's over the cluster's default.

Types spread through the cluster by themselves; nodes that are up know a change when the command
ends, the others soon after they are back. A type cannot be removed. "default" is the type of buckets
without one.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 there is no such type.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no type command %q; \"cartwheel type --help\" lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return usagef("name what to do with types")
		},
	}
	cmd.AddCommand(newTypeCreateCmd(remote), newTypeUpdateCmd(remote), newTypeListCmd(remote), newTypeShowCmd(remote))
	return cmd
}

const propsForm = `'{"props":{"n_val":3, ...}}'`

func newTypeCreateCmd(remote *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "create NAME [" + propsForm + "]",
		Short: "Make a bucket type",
		Long: `create makes a bucket type with the given properties, or with none of its own. Buckets of such a type
keep siblings unless it sets allow_mult to false, also where the cluster's default is otherwise.`,
		Example: `  cartwheel type create baskets
  cartwheel type create votes '{"props":{"resolve":"union","pw":1}}'`,
		Args: arguments(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			props := map[string]any{}
			var err error
			if len(args) == 2 {
				if props, err = parseProps(args[1]); err != nil {
					return err
				}
			}
			return remote.setType(cmd, args[0], props, func(exists bool) error {
				if exists {
					return fmt.Errorf("the type %s exists; change it with \"cartwheel type update\"", printable(args[0]))
				}
				return nil
			})
		},
	}
}

func newTypeUpdateCmd(remote *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "update NAME " + propsForm,
		Short: "Change properties of a bucket type",
		Long: `update changes the properties that it names and leaves the others as they are. Buckets that have set
such a property themselves keep their own.`,
		Example: `  cartwheel type update votes '{"props":{"pw":2}}'`,
		Args:    arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			props, err := parseProps(args[1])
			if err != nil {
				return err
			}
			return remote.setType(cmd, args[0], props, func(exists bool) error {
				if !exists {
					return noType(cmd, args[0])
				}
				return nil
			})
		},
	}
}

func newTypeListCmd(remote *remote) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the bucket types",
		Example: `  cartwheel type list
  cartwheel type list --json`,
		Args: arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return remote.with(func(c *client.Client) error {
				types, err := c.Types(cmd.Context())
				if err != nil {
					return err
				}
				slices.Sort(types)
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string][]string{"types": types})
				}
				var b strings.Builder
				for _, name := range types {
					b.WriteString(printable(name) + "\n")
				}
				_, err = io.WriteString(cmd.OutOrStdout(), b.String())
				return err
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

func newTypeShowCmd(remote *remote) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show the properties of a bucket type",
		Example: `  cartwheel type show votes
  cartwheel type show votes --json`,
		Args: arguments(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return remote.with(func(c *client.Client) error {
				props, err := c.TypeProperties(cmd.Context(), args[0])
				if status, ok := errors.AsType[*client.StatusError](err); ok && status.Status == http.StatusNotFound {
					return noType(cmd, args[0])
				}
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]any{"props": props})
				}
				return printProps(cmd.OutOrStdout(), props)
			})
		},
	}
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// printProps prints properties by name, each value as JSON.
func printProps(w io.Writer, props map[string]any) error {
	var rows [][]cell
	for _, name := range slices.Sorted(maps.Keys(props)) {
		value, err := json.Marshal(props[name])
		if err != nil {
			return err
		}
		rows = append(rows, cells(name, string(value)))
	}
	var b strings.Builder
	appendTable(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

// setType sets properties of a type, unless may refuses it by whether the type exists.
func (r *remote) setType(cmd *cobra.Command, name string, props map[string]any, may func(exists bool) error) error {
	return r.with(func(c *client.Client) error {
		types, err := c.Types(cmd.Context())
		if err == nil {
			err = may(slices.Contains(types, name))
		}
		if err != nil {
			return err
		}
		return c.SetTypeProperties(cmd.Context(), name, props)
	})
}

// noType says that there is no such type.
func noType(cmd *cobra.Command, name string) error {
	warn(cmd.ErrOrStderr(), "cartwheel: there is no type %s; \"cartwheel type list\" shows those there are, \"cartwheel type create\" makes one", printable(name))
	return codeError(exitNotFound)
}

// parseProps reads properties as the HTTP interface has them. Values keep their digits.
func parseProps(text string) (map[string]any, error) {
	wrong := func() error {
		return usagef("the properties %.60q are not of the form %s", text, propsForm)
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	var body struct {
		Props map[string]json.RawMessage `json:"props"`
	}
	if err := dec.Decode(&body); err != nil || body.Props == nil || dec.More() {
		return nil, wrong()
	}
	props := make(map[string]any, len(body.Props))
	for name, value := range body.Props {
		props[name] = value
	}
	return props, nil
}
