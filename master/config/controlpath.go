package config

import (
	"path"
	"strconv"
)

// SocketPathMax is the longest path of a Unix socket in bytes: sun_path holds
// 108 with the closing zero byte (unix(7)).
const SocketPathMax = 107

// ControlPath gives the place where a master's control socket stands, and where
// a command looks for it: in a folder that only uid can enter. A relative
// xdgRuntimeDir counts as absent, as the XDG base directory specification asks.
func ControlPath(name string, uid int, xdgRuntimeDir string) string {
	folder := "/tmp/prefork-" + strconv.Itoa(uid)
	switch {
	case uid == 0:
		folder = "/run/prefork"
	case path.IsAbs(xdgRuntimeDir):
		folder = path.Join(xdgRuntimeDir, "prefork")
	}
	return path.Join(folder, name+".sock")
}

// NotifyFolder gives the folder in which each worker that is no worker of ours
// has its notification socket. Its path is short: so are those of sockets.
func NotifyFolder(controlPath, name string) string {
	return path.Join(path.Dir(controlPath), name+".notify")
}

// LockPath gives the file that keeps a second master of the same name out. It
// stands in the control socket's folder, whatever the socket itself is called.
func LockPath(controlPath, name string) string {
	return path.Join(path.Dir(controlPath), name+".lock")
}
