package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"prefork/master/config"
)

// loader resolves the configuration of a run: at its start, and again at each
// reload. It is the only one that reads the file.
type loader struct {
	// folder is where prefork was started: relative paths begin there. It is asked
	// for once, since a deployment may rename it before the next reload.
	folder  string
	path    string         // of the file, absolute; empty: none
	named   string         // what named the file: "--config" or "PREFORK_CONFIG"
	sources config.Sources // but for the file
}

// newLoader takes what the command line says. The COMMAND is what stood after "--".
func newLoader(c *cli.Context, env environment, command []string) (loader, error) {
	l := loader{sources: config.Sources{Environ: env.environ, Flags: given(c), Command: command, OwnProgram: env.serve != nil}}
	var err error
	if l.folder, err = os.Getwd(); err != nil {
		return l, fmt.Errorf("find the current folder: %w: start %s in one that is there", err, env.program())
	}
	if path := env.get("PREFORK_CONFIG"); path != "" {
		l.path, l.named = l.absolute(path), "PREFORK_CONFIG"
	}
	if c.IsSet("config") {
		if c.String("config") == "" {
			return l, usagef(`--config "": no path: write that of a file, or leave the flag out`)
		}
		l.path, l.named = l.absolute(c.String("config")), "--config"
	}
	return l, nil
}

// load gives the configuration as it is now, or all of its problems, a line each.
// It does not block, but for a file system that does.
func (l loader) load() (config.Resolved, error) {
	var fileErr error
	s := l.sources
	if l.path != "" {
		s.File, fileErr = l.read()
	}
	resolved, err := config.Resolve(s)
	if err := errors.Join(fileErr, err); err != nil {
		return resolved, usagef("%v", err)
	}
	if resolved.Config.Control != "" { // what the banner shows must be right from every folder
		resolved.Config.Control = l.absolute(resolved.Config.Control)
	}
	if err := resolved.Config.Validate(); err != nil { // it may be too long now
		return resolved, usagef("%v", err)
	}
	if err := l.spareFile(resolved.Config); err != nil {
		return resolved, err
	}
	return resolved, l.certify(&resolved)
}

// spareFile refuses paths that would have the master write over its own
// configuration, or remove it at the end.
func (l loader) spareFile(cfg config.Config) error {
	for _, f := range []struct{ key, path string }{
		{"pid-file", cfg.PIDFile}, {"log-file", cfg.LogFile}, {"control", cfg.Control},
	} {
		if l.path != "" && f.path != "" && filepath.Clean(l.absolute(f.path)) == filepath.Clean(l.path) {
			return usagef("%s %q: this is the configuration file, which would be destroyed: write another path", f.key, f.path)
		}
	}
	return nil
}

func (l loader) absolute(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(l.folder, path)
}

func (l loader) read() (*config.File, error) {
	data, _, err := readRegular(l.path, config.FileMax)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %s", l.named, l.path, reasonOf(err))
	}
	return &config.File{Path: l.path, Data: data}, nil
}

var (
	errFolder    = errors.New("this is a folder: write the path of a file in it")
	errIrregular = errors.New("not a regular file, and a reload has to read it again: write the path of one")
)

// reasonOf says why a file cannot be read, and what to do.
func reasonOf(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file: write the path of one that is there"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("user %d may not read it: change its owner or mode", os.Geteuid())
	case errors.As(err, &path):
		return path.Err.Error() + ": write the path of a file that can be read"
	}
	return err.Error()
}
