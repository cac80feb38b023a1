package config

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

const (
	// UnixModeDefault lets every user connect, like SocketMode= of systemd: who
	// may reach the socket is usually decided by its folder.
	UnixModeDefault = 0o666
	// UnixPathMax is shorter than SocketPathMax by what a reload puts behind the
	// path of a socket that is to replace another, see package listen.
	UnixPathMax = SocketPathMax - 2

	unixModeMax = 0o777
	ownerMax    = 64 // bytes of a user's or group's name: twice what useradd(8) takes
)

// parseUnix reads what stands behind "unix:": a path, then options, of which each
// may stand once: mode=0660, user=NAME, group=NAME.
func parseUnix(s, rest string) (Address, error) {
	file, options, more := strings.Cut(rest, ",")
	if reason := badUnixPath(file); reason != "" {
		return Address{}, refuse(s, "%s", reason)
	}
	a := Address{Network: NetworkUnix, Path: file, Mode: UnixModeDefault}
	seen := map[string]bool{}
	for more {
		var option string
		option, options, more = strings.Cut(options, ",")
		key, value, _ := strings.Cut(option, "=")
		if seen[key] {
			return Address{}, refuse(s, "the option %.20q stands there twice: leave one out", key)
		}
		seen[key] = true
		if reason := a.setUnixOption(key, value); reason != "" {
			return Address{}, refuse(s, "%s", reason)
		}
	}
	return a, nil
}

// badUnixPath tells what is wrong with the path of a Unix socket, or "".
func badUnixPath(file string) string {
	const example = "for example unix:/run/shop/web.sock"
	switch {
	case file == "":
		return "no path: write one, " + example
	case file[0] == '@':
		// It has no owner and no mode: everybody on the machine could connect.
		return "an abstract socket has no permissions: write the path of a file, " + example
	case file[0] != '/':
		// The folder that it starts from is not the one that a client is in.
		return "the path is relative, and nobody would know to which folder: write all of it, " + example
	case len(file) > UnixPathMax:
		return fmt.Sprintf("%d bytes, and the kernel takes at most %d, of which a reload needs %d: write a shorter path",
			len(file), SocketPathMax, SocketPathMax-UnixPathMax)
	case strings.ContainsFunc(file, unprintable):
		return "a path with characters that cannot be printed: write it without"
	case strings.HasSuffix(file, "/"):
		return "this is a folder: write the path of a file in it"
	case path.Clean(file) != file:
		return fmt.Sprintf("a path with detours: write unix:%s", path.Clean(file))
	}
	return ""
}

// setUnixOption sets one option and tells what is wrong with it, or "".
func (a *Address) setUnixOption(key, value string) string {
	switch key {
	case "mode":
		mode, err := strconv.ParseUint(value, 8, 16)
		if err != nil || mode > unixModeMax {
			return fmt.Sprintf("the mode %.20q is not an octal number from 0 to 777: write for example mode=0660", value)
		}
		a.Mode = uint32(mode)
		return ""
	case "user":
		a.User = value
		return badOwner(key, value)
	case "group":
		a.Group = value
		return badOwner(key, value)
	}
	known := []string{"mode", "user", "group"}
	if near := Suggest(key, known); near != "" {
		return fmt.Sprintf("unknown option %.20q: did you mean %s=?", key, near)
	}
	return fmt.Sprintf("unknown option %.20q: there are mode=, user= and group=, and the path cannot hold a comma", key)
}

func badOwner(key, value string) string {
	if value == "" || len(value) > ownerMax || strings.ContainsFunc(value, func(r rune) bool { return unprintable(r) || r == ' ' || r == '=' }) {
		return fmt.Sprintf("%s=%.20q names nobody: write a %s of this machine, by name or number", key, value, key)
	}
	return ""
}

func unprintable(r rune) bool { return !strconv.IsPrint(r) || r == '\uFFFD' }

// printable replaces what would break a message into two lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '?'
		}
		return r
	}, s)
}

func (a Address) unixString() string {
	s := "unix:" + a.Path
	if a.Mode != UnixModeDefault {
		s += fmt.Sprintf(",mode=%04o", a.Mode)
	}
	if a.User != "" {
		s += ",user=" + a.User
	}
	if a.Group != "" {
		s += ",group=" + a.Group
	}
	return s
}
