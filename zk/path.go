package zk

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// DefaultPort is the port of servers that are named without one.
const DefaultPort = "2181"

// ParseConnectString splits "host:port,host:port/chroot" into addresses and the
// chroot, which is empty if there is none. An IPv6 address with a port stands in
// brackets.
func ParseConnectString(text string) (servers []string, chroot string, err error) {
	hosts := text
	if i := strings.IndexByte(text, '/'); i >= 0 {
		hosts, chroot = text[:i], text[i:]
	}
	if chroot == "/" {
		chroot = ""
	}
	if chroot != "" {
		if err := checkPath(chroot); err != nil {
			return nil, "", fmt.Errorf("chroot of connect string %q: %w", text, err)
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		host = strings.TrimSpace(host)
		if host == "" {
			continue
		}
		address, err := withPort(host)
		if err != nil {
			return nil, "", fmt.Errorf("connect string %q: %w", text, err)
		}
		servers = append(servers, address)
	}
	if len(servers) == 0 {
		return nil, "", fmt.Errorf("connect string %q names no server; it has the form host:port,host:port/chroot", text)
	}
	return servers, chroot, nil
}

func withPort(host string) (string, error) {
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if net.ParseIP(bare) != nil || !strings.Contains(host, ":") {
		return net.JoinHostPort(bare, DefaultPort), nil
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return "", err
	}
	if name == "" || port == "" {
		return "", fmt.Errorf("server %q needs a host and a port", host)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("server %q: the port %q is not a number from 1 to 65535", host, port)
	}
	return net.JoinHostPort(name, port), nil
}

// checkPath applies the rules for znode paths that servers apply too.
func checkPath(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: the path is empty", ErrBadArguments)
	case path[0] != '/':
		return fmt.Errorf("%w: the path %q must start with /", ErrBadArguments, path)
	case path == "/":
		return nil
	case path[len(path)-1] == '/':
		return fmt.Errorf("%w: the path %q must not end with /", ErrBadArguments, path)
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("%w: the path %q has the component %q", ErrBadArguments, path, name)
		}
	}
	for i, r := range path {
		if forbiddenRune(r) {
			return fmt.Errorf("%w: the path %q has the character %U at byte %d", ErrBadArguments, path, r, i)
		}
	}
	return nil
}

// forbiddenRune reports the characters that ZooKeeper's data model excludes. What is
// not UTF-8 reads as U+FFFD, which is one of them.
func forbiddenRune(r rune) bool {
	return r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 && r <= 0xffff
}

// checkCreatePath also allows what becomes a path when the sequence is appended.
func checkCreatePath(path string, mode Mode) error {
	if mode.Sequential() {
		return checkPath(path + "1")
	}
	return checkPath(path)
}

// serverPath adds the chroot.
func (c *Client) serverPath(path string) string {
	switch {
	case c.chroot == "":
		return path
	case path == "/":
		return c.chroot
	}
	return c.chroot + path
}

// clientPath takes the chroot away.
func (c *Client) clientPath(path string) string {
	rest, inside := strings.CutPrefix(path, c.chroot)
	switch {
	case inside && rest == "":
		return "/"
	case inside && rest[0] == '/':
		return rest
	}
	return path
}
