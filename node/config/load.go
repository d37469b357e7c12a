package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk/sasl"
)

// Options are what Parse needs from outside of the text.
type Options struct {
	Env Environment
	// ReadFile reads the myid file and the dynamic configuration file.
	ReadFile func(path string) ([]byte, error)
}

// Load reads and validates the zoo.cfg at path, with the files that it names.
// Warnings are returned with an error too. The error is an Errors.
func Load(path string, env Environment) (*Config, []Warning, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, Errors{{File: path, Problem: "can't read the configuration: " + reason(err),
			Fix: "give the path of an existing zoo.cfg, or start without one for a lone server"}}
	}
	return Parse(path, string(content), Options{Env: env, ReadFile: os.ReadFile})
}

// Parse is Load for the content of a zoo.cfg, which file names in messages.
func Parse(file, content string, options Options) (*Config, []Warning, error) {
	p := parser{draft: draft{Config: *defaults(), observerSync: true}, options: options,
		lines: make(map[string]place)}
	p.File = file
	p.readStatic(content)
	p.readFlags()
	p.readDynamic()
	p.Membership = *p.members.finish()
	p.readNext()
	p.checkRanges()
	p.checkThrottles()
	p.checkTimeouts()
	p.checkMembership()
	p.findMyID()
	p.setClientAddrs()
	p.checkTLS()
	p.setRole()
	p.checkAuth()
	p.checkQuorumSecurity()
	sortByPlace(p.errs, func(e *Error) (string, int) { return e.File, e.Line })
	sortByPlace(p.warnings, func(w Warning) (string, int) { return w.File, w.Line })
	if len(p.errs) > 0 {
		return nil, p.warnings, p.errs
	}
	p.places = p.lines
	return &p.Config, p.warnings, nil
}

// sortByPlace orders findings by line, keeps zoo.cfg's before those of other
// files, and those without a line last.
func sortByPlace[T any](findings []T, place func(T) (file string, line int)) {
	if len(findings) == 0 {
		return
	}
	slices.SortStableFunc(findings, func(a, b T) int {
		fileA, lineA := place(a)
		fileB, lineB := place(b)
		if (lineA == 0) != (lineB == 0) {
			return cmp.Compare(lineB, lineA)
		}
		if fileA != fileB {
			return 0
		}
		return cmp.Compare(lineA, lineB)
	})
}

// place is where a setting was given.
type place struct {
	file string
	line int
	key  string // as written
}

// parser carries the state of one Parse.
type parser struct {
	draft
	options  Options
	members  membershipBuilder
	lines    map[string]place // by canonical key; a key that was not given is absent
	jaas     sasl.JAAS        // nil where there is no file or it can't be read
	errs     Errors
	warnings []Warning
	// noMyID and membersUnclear are set after errors that leave the member id or
	// the members unknown, so that the consequences are not reported too.
	noMyID         bool
	idPlace        place // where MyID came from
	membersUnclear bool
}

// fail reports a fault of the setting with the given canonical key, at its line
// where it has one.
func (p *parser) fail(key string, f *fault) {
	at := p.at(key)
	p.errs = append(p.errs, &Error{File: at.file, Line: at.line, Key: at.key, Problem: f.problem, Fix: f.fix})
}

func (p *parser) warn(key, format string, args ...any) {
	at := p.at(key)
	p.warnings = append(p.warnings, Warning{File: at.file, Line: at.line, Key: at.key, Problem: fmt.Sprintf(format, args...)})
}

func (p *parser) at(key string) place {
	if at, ok := p.lines[key]; ok {
		return at
	}
	return place{file: p.File, key: key}
}

// read takes the entries of one file and hands those that count to use: of
// several lines with one key the last one.
func (p *parser) read(file, content string, use func(canonical string, spec *setting, entry property)) {
	entries := parseProperties(content, func(line int, key string, f *fault) {
		p.errs = append(p.errs, &Error{File: file, Line: line, Key: key, Problem: f.problem, Fix: f.fix})
	})
	last := make(map[string]int)
	for i, entry := range entries {
		canonical, _ := canonicalKey(entry.key)
		last[canonical] = i
	}
	for i, entry := range entries {
		canonical, spec := canonicalKey(entry.key)
		if winner := last[canonical]; winner != i {
			p.warnings = append(p.warnings, Warning{File: file, Line: entry.line, Key: entry.key,
				Problem: fmt.Sprintf("is set again in line %d, which counts", entries[winner].line)})
			continue
		}
		p.lines[canonical] = place{file: file, line: entry.line, key: entry.key}
		use(canonical, spec, entry)
	}
}

// readStatic reads zoo.cfg. The members come last, since they depend on
// multiAddress.enabled and dynamicConfigFile.
func (p *parser) readStatic(content string) {
	type membershipEntry struct {
		canonical string
		entry     property
	}
	var later []membershipEntry
	p.read(p.File, content, func(canonical string, spec *setting, entry property) {
		if spec == nil && isMembershipKey(canonical) {
			later = append(later, membershipEntry{canonical, entry})
			return
		}
		p.takeProperty(canonical, spec, entry.value)
	})
	p.members.multiAddress = p.Ensemble.MultiAddressEnabled
	for _, one := range later {
		if p.dynamicConfigFile != "" && one.canonical != "version" {
			p.fail(one.canonical, faultf("move the line to "+p.dynamicConfigFile+", or remove dynamicConfigFile",
				"may not stand beside dynamicConfigFile"))
		} else if _, f := p.members.add(one.canonical, one.entry.value); f != nil {
			p.fail(one.canonical, f)
		}
	}
}

// takeProperty takes a setting; spec is nil for one without a field.
func (p *parser) takeProperty(canonical string, spec *setting, value string) {
	if spec != nil {
		if f := spec.set(&p.draft, canonical, value); f != nil {
			p.fail(canonical, f)
		}
		return
	}
	p.Properties[propertyPrefix+strings.TrimPrefix(canonical, propertyPrefix)] = value
	if problem := unknownKey(canonical); problem != "" {
		p.warn(canonical, "%s", problem)
	}
}

// isMembershipKey reports whether membershipBuilder knows the key.
func isMembershipKey(key string) bool {
	kind, _, dotted := strings.Cut(key, ".")
	return key == "version" || dotted && (kind == "server" || kind == "group" || kind == "weight")
}

// readDynamic reads the file of dynamicConfigFile, whose version stands in its
// name ("zoo.cfg.dynamic.1f" has version 0x1f).
func (p *parser) readDynamic() {
	if p.dynamicConfigFile == "" {
		return
	}
	content, err := p.options.ReadFile(p.dynamicConfigFile)
	if err != nil {
		p.fail("dynamicConfigFile", faultf("give the path of an existing file, or put the server.N lines into zoo.cfg",
			"can't read %s: %s", p.dynamicConfigFile, reason(err)))
		return
	}
	suffix := strings.TrimPrefix(filepath.Ext(p.dynamicConfigFile), ".")
	if version, err := strconv.ParseInt(suffix, 16, 64); err == nil {
		p.members.m.Version = version
	}
	p.read(p.dynamicConfigFile, string(content), func(canonical string, _ *setting, entry property) {
		if canonical == "version" {
			p.fail(canonical, faultf("remove the line; the version is the end of the file's name",
				"may not stand in a dynamic configuration file"))
			return
		}
		known, f := p.members.add(canonical, entry.value)
		switch {
		case f != nil:
			p.fail(canonical, f)
		case !known:
			p.fail(canonical, faultf("move the line to "+p.File,
				"only server.N, group.N and weight.N may stand in a dynamic configuration file"))
		}
	})
}

// findMyID reads the myid file, or takes ZOO_MY_ID where there is none.
func (p *parser) findMyID() {
	if p.Storage.DataDir == "" {
		return
	}
	file := filepath.Join(p.Storage.DataDir, "myid")
	content, err := p.options.ReadFile(file)
	switch {
	case err == nil:
		first, _, _ := strings.Cut(strings.TrimPrefix(string(content), byteOrderMark), "\n")
		p.takeMyID(trimJava(first), place{file, 1, "myid"}, "write only the number of this server into the file, for example: echo 1 > "+file)
		if env := trimJava(p.options.Env.MyID); env != "" && !p.noMyID && env != trimJava(first) {
			p.warnings = append(p.warnings, Warning{File: environmentFile, Key: "ZOO_MY_ID",
				Problem: fmt.Sprintf("%q differs from %s, which counts: this is server %d", env, file, p.MyID)})
		}
	case !errors.Is(err, fs.ErrNotExist):
		p.errs = append(p.errs, &Error{File: file, Key: "myid", Problem: "can't read the file: " + reason(err),
			Fix: "make the file readable for the user that runs the server"})
		p.noMyID = true
	case p.options.Env.MyID != "":
		p.takeMyID(trimJava(p.options.Env.MyID), place{file: environmentFile, key: "ZOO_MY_ID"}, "set ZOO_MY_ID to the number of this server, for example ZOO_MY_ID=1")
	case p.Distributed:
		p.errs = append(p.errs, &Error{File: file, Key: "myid", Problem: "the file is missing, so this server does not know which server.N it is",
			Fix: "write the number of this server into it, for example: echo 1 > " + file + ", or set the environment variable ZOO_MY_ID"})
		p.noMyID = true
	}
	if !p.noMyID && !p.membersUnclear {
		p.checkMyID()
	}
}

func (p *parser) takeMyID(value string, at place, fix string) {
	id, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		p.errs = append(p.errs, &Error{File: at.file, Line: at.line, Key: at.key, Problem: fmt.Sprintf("%q is not a number", value), Fix: fix})
		p.noMyID = true
		return
	}
	p.MyID, p.idPlace = id, at
}

// checkMyID compares the id with the members. A lone server has the id 0, and
// may have a myid file that says anything.
func (p *parser) checkMyID() {
	if !p.Distributed {
		if servers := p.Membership.Servers; len(servers) == 1 && p.MyID != 0 && p.MyID != servers[0].ID {
			p.warnings = append(p.warnings, Warning{File: p.idPlace.file, Line: p.idPlace.line, Key: p.idPlace.key,
				Problem: fmt.Sprintf("says %d, but the only server is %d", p.MyID, servers[0].ID)})
		}
		p.MyID = 0
		return
	}
	reject := func(problem, fix string) {
		p.errs = append(p.errs, &Error{File: p.idPlace.file, Line: p.idPlace.line, Key: p.idPlace.key, Problem: problem, Fix: fix})
		p.noMyID = true
	}
	_, known := p.Membership.Server(p.MyID)
	var ids []string
	for _, server := range p.Membership.Servers {
		ids = append(ids, strconv.FormatInt(server.ID, 10))
	}
	switch {
	case !known:
		reject(fmt.Sprintf("this is server %d, but there is no server.%d line (there are: %s)", p.MyID, p.MyID, strings.Join(ids, ", ")),
			fmt.Sprintf("add a server.%d line on all servers, or correct the id", p.MyID))
	case p.ExtendedTypesEnabled && p.MyID > maxExtendedTypesID:
		reject(fmt.Sprintf("the id %d is above %d, the largest with extendedTypesEnabled=true", p.MyID, maxExtendedTypesID),
			"give this server a smaller id, or remove extendedTypesEnabled")
	}
}

// reason shortens an error of the file system: the path is in the message
// already.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}
