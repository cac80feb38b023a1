package config

import "strings"

// systemdNameMax is the longest FileDescriptorName= (systemd.socket(5)).
const systemdNameMax = 255

// parseSystemd reads what stands behind "systemd:": a name of the kind that
// systemd.socket(5) allows, narrowed to what needs no quotes in a shell or a log.
func parseSystemd(s, name string) (Address, error) {
	const example = "write the FileDescriptorName= of a .socket unit, for example systemd:web"
	badAt := strings.IndexFunc(name, func(r rune) bool { return notInName(r) && r != '@' && r != '+' })
	switch {
	case name == "":
		return Address{}, refuse(s, "no name: "+example)
	case len(name) > systemdNameMax:
		return Address{}, refuse(s, "%d characters, and systemd takes at most %d: "+example, len(name), systemdNameMax)
	case badAt >= 0:
		return Address{}, refuse(s, "%.1q cannot stand in such a name: "+example, name[badAt:])
	}
	return Address{Network: NetworkSystemd, Name: name}, nil
}
