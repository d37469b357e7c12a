package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The files of a membership that changes, beside zoo.cfg, are Apache's: the committed one
// is in zoo.cfg.dynamic.<version>, to which dynamicConfigFile in zoo.cfg points; one that
// is proposed is in zoo.cfg.dynamic.next. Each is written whole under another name, synced
// and renamed.

// nextFile is where a proposed membership is kept.
func (c *Config) nextFile() string { return c.File + ".dynamic.next" }

// readNext finds a membership that was proposed when the server ended. One that can't be
// read, or is not newer, counts for nothing: so it does in Apache.
func (p *parser) readNext() {
	if !p.ReconfigEnabled || p.File == "" {
		return
	}
	content, err := p.options.ReadFile(p.nextFile())
	if err != nil {
		return
	}
	next, err := ParseMembership(p.nextFile(), string(content))
	if err != nil {
		p.warnings = append(p.warnings, Warning{File: p.nextFile(), Problem: "is left out, it can't be read: " + err.Error()})
		return
	}
	if next.Version > p.Membership.Version {
		p.NextMembership = next
	}
}

// MembershipFiles are the files of a membership that changes. One goroutine uses them.
type MembershipFiles struct {
	cfg   *Config
	saved int64 // version of the committed membership that they have
}

// MembershipFiles returns those of the configuration; without a zoo.cfg nothing is saved.
func (c *Config) MembershipFiles() *MembershipFiles {
	return &MembershipFiles{cfg: c, saved: c.Membership.Version}
}

// Save writes the committed membership, unless it is what the files have already, and the
// proposed one, nil for none. When it returns without an error both are durable.
func (s *MembershipFiles) Save(committed, next *Membership) error {
	c := s.cfg
	if c.File == "" {
		return nil
	}
	if next != nil {
		if err := writeFile(c.nextFile(), dynamicText(next, true), 0o644); err != nil {
			return err
		}
	}
	path, err := filepath.Abs(c.File + ".dynamic." + strconv.FormatInt(committed.Version, 16))
	if err != nil {
		return err
	}
	if committed.Version > s.saved {
		if err := writeFile(path, dynamicText(committed, false), 0o644); err != nil {
			return err
		}
		if err := c.pointTo(path, committed); err != nil {
			return err
		}
		s.saved = committed.Version
	}
	if next == nil {
		if err := os.Remove(c.nextFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// dynamicText is a membership as a file has it: sorted, and with its version only where
// the file's name does not tell it.
func dynamicText(m *Membership, withVersion bool) string {
	lines := strings.Split(m.Text(), "\n")
	if !withVersion {
		lines = lines[:len(lines)-1]
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// pointTo makes zoo.cfg name the dynamic file. Lines about members go, and those of the
// client's port where the membership tells it; comments and all else stay. What zoo.cfg
// was when it had the members itself is kept in zoo.cfg.bak.
func (c *Config) pointTo(dynamicFile string, committed *Membership) error {
	content, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return err
	}
	server, _ := committed.Server(c.MyID)
	toldClient := server.Client != HostPort{}
	wasDynamic := false
	var kept strings.Builder
	lines := lineReader{rest: string(content)}
	for before := lines.rest; before != ""; before = lines.rest {
		logical, _, ok := lines.next()
		text := before[:len(before)-len(lines.rest)]
		if !ok {
			kept.WriteString(text) // comments at the end
			break
		}
		rawKey, _ := splitEntry(logical)
		key := trimJava(rawKey)
		wasDynamic = wasDynamic || key == "dynamicConfigFile"
		if !ofMembership(key, toldClient) {
			kept.WriteString(text)
			continue
		}
		kept.WriteString(leadingComments(text))
	}
	if !wasDynamic {
		if err := writeFile(c.File+".bak", string(content), info.Mode().Perm()); err != nil {
			return err
		}
	}
	if text := kept.String(); text != "" && !strings.HasSuffix(text, "\n") {
		kept.WriteByte('\n')
	}
	fmt.Fprintf(&kept, "dynamicConfigFile=%s\n", dynamicFile)
	return writeFile(c.File, kept.String(), info.Mode().Perm())
}

// ofMembership reports whether a line of zoo.cfg belongs into the dynamic file.
func ofMembership(key string, toldClient bool) bool {
	for _, prefix := range []string{"server.", "group", "weight", "dynamicConfigFile", "peerType"} {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return toldClient && strings.HasPrefix(key, "clientPort") && key != "clientPortListenBacklog"
}

// leadingComments returns the lines of text before those of its entry.
func leadingComments(text string) string {
	var comments strings.Builder
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimLeft(line, propertyBlanks+"\r\n"); trimmed != "" && !isComment(trimmed) {
			break
		}
		comments.WriteString(line)
	}
	return comments.String()
}

// writeFile replaces a file, or leaves it as it was.
func writeFile(path, content string, mode fs.FileMode) (err error) {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temporary)
		}
	}()
	if _, err = f.WriteString(content); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err = os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
