package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// checkFile reports why no file can be written there.
func checkFile(f *pflag.FlagSet, flag, path string) error {
	if !f.Changed(flag) {
		return nil
	}
	if path == "" || path == onStdout || isDirectory(path) {
		return fmt.Errorf("--%s %q: name a file", flag, path)
	}
	if dir := filepath.Dir(path); !isDirectory(dir) {
		return fmt.Errorf("--%s %s: there is no directory %s; make it first", flag, path, dir)
	}
	return nil
}

// checkDirectory reports why there can be no such directory: the first of its parents that exists is
// a file.
func checkDirectory(f *pflag.FlagSet, flag, path string) error {
	if !f.Changed(flag) {
		return nil
	}
	if path == "" {
		return fmt.Errorf("--%s %q: name a directory", flag, path)
	}
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); err == nil || at == filepath.Dir(at) {
			if !isDirectory(at) {
				return fmt.Errorf("--%s %s: %s is no directory", flag, path, at)
			}
			return nil
		}
	}
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// benchFlagError says what a flag takes instead of how its reading failed.
func benchFlagError(cmd *cobra.Command, err error) error {
	bad, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return cmd.Root().FlagErrorFunc()(cmd, err)
	}
	takes := map[string]string{
		"int": "a whole number", "int64": "a whole number", "uint64": "a whole number from 0", "float64": "a number",
		"intSlice": "whole numbers separated by commas", "duration": "a time such as 500ms, 10s or 2m", "bool": "true or false",
	}[bad.GetFlag().Value.Type()]
	if takes == "" {
		return cmd.Root().FlagErrorFunc()(cmd, err)
	}
	return usagef("--%s %q: write %s; see %q", bad.GetFlag().Name, bad.GetValue(), takes, cmd.CommandPath()+" --help")
}
