package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// installPatience bounds one run of the package manager.
const installPatience = 5 * time.Minute

// policyPath is asked by Debian's packages whether they may start their service
// when they are installed (invoke-rc.d(8)).
const policyPath = "/usr/sbin/policy-rc.d"

// Program is a program that a comparison needs from outside.
type Program struct {
	Name    string // "nginx"
	Package string // Debian's name of what brings it: "nginx"
}

// Find returns the path of a program. When it is missing, install allows it, we are
// root, and apt-get is there, Debian's package is installed first; log then gets
// one line about it. The error says what to do.
func Find(ctx context.Context, program Program, install bool, log io.Writer) (string, error) {
	if path := look(program.Name); path != "" {
		return path, nil
	}
	manager := look("apt-get")
	switch {
	case !install:
		return "", fmt.Errorf("%s is not installed, and installing is switched off", program.Name)
	case manager == "":
		return "", fmt.Errorf("%s is not installed, and there is no apt-get to install it: install it by hand", program.Name)
	case os.Geteuid() != 0:
		return "", fmt.Errorf("%s is not installed: run as root, or: sudo apt-get install %s", program.Name, program.Package)
	}
	fmt.Fprintf(log, "installing Debian's package %s\n", program.Package)
	if err := installPackage(ctx, manager, program.Package); err != nil {
		return "", err
	}
	if path := look(program.Name); path != "" {
		return path, nil
	}
	return "", fmt.Errorf("package %s is installed and brings no program %s", program.Package, program.Name)
}

// look searches PATH, and where Debian keeps servers, which is not in everybody's PATH.
func look(name string) string {
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name), filepath.Join("/usr/local/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}

func installPackage(ctx context.Context, manager, name string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, installPatience)
	defer cancel()
	restore, err := forbidServices()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()
	for _, args := range [][]string{
		{"update", "-qq"},
		{"install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", name},
	} {
		cmd := exec.CommandContext(ctx, manager, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("install package %s: apt-get %s: %w\n%s", name, args[0], err, output)
		}
	}
	return nil
}

// forbidServices keeps packages from starting a service, which would take port 80
// of a machine that only wants the program. A policy that is there stays.
func forbidServices() (restore func() error, err error) {
	const forbid = "#!/bin/sh\nexit 101\n" // "action forbidden by policy"
	file, err := os.OpenFile(policyPath, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, fmt.Errorf("forbid services to start: %w", err)
	}
	_, err = file.WriteString(forbid)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(policyPath))
	}
	return func() error { return os.Remove(policyPath) }, nil
}

// VersionOf is the first line of what a program says about its version, on
// standard output or error; "unknown" when it says nothing.
func VersionOf(ctx context.Context, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	output, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	if err != nil || line == "" {
		return "unknown"
	}
	return line
}
