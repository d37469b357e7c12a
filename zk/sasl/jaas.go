package sasl

import (
	"errors"
	"fmt"
	"strings"
)

// DigestLoginModule is the module whose entries hold the users of DIGEST-MD5.
const DigestLoginModule = "org.apache.zookeeper.server.auth.DigestLoginModule"

// ErrJAAS means that the text of a JAAS file can't be used.
var ErrJAAS = errors.New("bad JAAS configuration")

// LoginModule is one entry of a section of a JAAS file.
type LoginModule struct {
	// Class is the module's full name, and Control one of required, requisite,
	// sufficient and optional.
	Class, Control string
	// Options has the values of the entry without their quotes.
	Options map[string]string
}

// JAAS has the sections of a file by their names.
type JAAS map[string][]LoginModule

// ParseJAAS reads the text of a JAAS file:
//
//	Server {
//	    org.apache.zookeeper.server.auth.DigestLoginModule required
//	    user_alice="secret";
//	};
//
// Comments are those of Java. Errors are ErrJAAS, with the line.
func ParseJAAS(text string) (JAAS, error) {
	s := jaasScanner{rest: text, line: 1}
	file := make(JAAS)
	for s.next(); s.kind != 0; s.next() {
		name := s.text
		if s.kind == ';' {
			continue
		}
		if !s.isName() {
			return nil, s.errorf("the name of a section is wanted, not %q", s.text)
		}
		if _, twice := file[name]; twice {
			return nil, s.errorf("section %s is there twice", name)
		}
		if s.next(); s.kind != '{' {
			return nil, s.errorf("section %s must begin with {", name)
		}
		var modules []LoginModule
		for s.next(); s.kind != '}'; s.next() {
			module, err := s.module()
			if err != nil {
				return nil, err
			}
			modules = append(modules, module)
		}
		if s.next(); s.kind != ';' {
			return nil, s.errorf("section %s must end with };", name)
		}
		file[name] = modules
	}
	if s.err != nil {
		return nil, s.err
	}
	return file, nil
}

// Users returns the passwords of a server's section by their users: the options
// user_NAME of its modules. It fails where the section is missing or names a module
// other than DigestLoginModule, the one for Kerberos above all.
func (f JAAS) Users(section string) (map[string]string, error) {
	modules, err := f.digestModules(section)
	if err != nil {
		return nil, err
	}
	users := make(map[string]string)
	for _, module := range modules {
		for option, value := range module.Options {
			if user, ok := strings.CutPrefix(option, "user_"); ok {
				users[user] = value
			}
		}
	}
	return users, nil
}

// Credentials returns the user and the password of a client's section: the options
// username and password.
func (f JAAS) Credentials(section string) (user, password string, err error) {
	modules, err := f.digestModules(section)
	if err != nil {
		return "", "", err
	}
	for _, module := range modules {
		user, hasUser := module.Options["username"]
		password, hasPassword := module.Options["password"]
		if hasUser && hasPassword {
			return user, password, nil
		}
	}
	return "", "", fmt.Errorf("%w: section %s needs username=\"...\" and password=\"...\"", ErrJAAS, section)
}

func (f JAAS) digestModules(section string) ([]LoginModule, error) {
	modules, there := f[section]
	if !there {
		return nil, fmt.Errorf("%w: there is no section %s { ... };", ErrJAAS, section)
	}
	for _, module := range modules {
		if module.Class != DigestLoginModule {
			return nil, fmt.Errorf("%w: section %s uses %s: Kerberos (GSSAPI) and other modules are not supported, use %s", ErrJAAS, section, module.Class, DigestLoginModule)
		}
	}
	if len(modules) == 0 {
		return nil, fmt.Errorf("%w: section %s is empty, it needs a %s", ErrJAAS, section, DigestLoginModule)
	}
	return modules, nil
}

// jaasScanner cuts the text into words, quoted values and the marks { } = ;.
type jaasScanner struct {
	rest string
	line int
	// kind is the mark itself, 'w' for a word, '"' for a quoted value, 0 at the end.
	kind byte
	text string
	err  error
}

// isName reports whether the scanner stands on a word or, which Java allows for
// names, a quoted one.
func (s *jaasScanner) isName() bool { return s.kind == 'w' || s.kind == '"' }

// module reads an entry, of which the scanner stands on the first word.
func (s *jaasScanner) module() (LoginModule, error) {
	m := LoginModule{Class: s.text, Options: make(map[string]string)}
	if !s.isName() {
		return m, s.errorf("the class of a login module is wanted, or }, not %q", s.text)
	}
	s.next()
	m.Control = strings.ToLower(s.text)
	switch m.Control {
	case "required", "requisite", "sufficient", "optional":
	default:
		return m, s.errorf("behind %s one of required, requisite, sufficient or optional is wanted, not %q", m.Class, s.text)
	}
	for s.next(); s.kind != ';'; s.next() {
		name := s.text
		if !s.isName() {
			return m, s.errorf("an option name=value or ; is wanted, not %q", s.text)
		}
		if s.next(); s.kind != '=' {
			return m, s.errorf("option %s has no =", name)
		}
		if s.next(); !s.isName() {
			return m, s.errorf("option %s has no value", name)
		}
		m.Options[name] = s.text
	}
	return m, nil
}

// next moves on to the next piece. Errors leave the scanner at the end.
func (s *jaasScanner) next() {
	s.skip()
	s.kind, s.text = 0, ""
	if s.rest == "" || s.err != nil {
		return
	}
	switch c := s.rest[0]; c {
	case '{', '}', '=', ';':
		s.kind, s.text, s.rest = c, s.rest[:1], s.rest[1:]
	case '"':
		s.quoted()
	default:
		end := strings.IndexAny(s.rest, " \t\r\n{}=;\"")
		if end < 0 {
			end = len(s.rest)
		}
		s.kind, s.text, s.rest = 'w', s.rest[:end], s.rest[end:]
	}
}

// skip passes blanks and comments.
func (s *jaasScanner) skip() {
	for s.rest != "" {
		switch {
		case strings.IndexByte(" \t\r\n", s.rest[0]) >= 0:
			s.advance(1)
		case s.rest[0] == '#' || strings.HasPrefix(s.rest, "//"):
			end := strings.IndexByte(s.rest, '\n')
			if end < 0 {
				end = len(s.rest)
			}
			s.advance(end)
		case strings.HasPrefix(s.rest, "/*"):
			end := strings.Index(s.rest, "*/")
			if end < 0 {
				s.err = s.errorf("a comment is not closed")
				s.rest = ""
				return
			}
			s.advance(end + 2)
		default:
			return
		}
	}
}

func (s *jaasScanner) advance(n int) {
	s.line += strings.Count(s.rest[:n], "\n")
	s.rest = s.rest[n:]
}

// quoted reads a value in quotes, in which a backslash stands before a special byte.
func (s *jaasScanner) quoted() {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		switch {
		case c == '"':
			s.kind, s.text, s.rest = '"', b.String(), s.rest[i+1:]
			return
		case c == '\n':
			s.err = s.errorf("a quote is not closed at the end of the line")
			s.rest = ""
			return
		case c == '\\' && i+1 < len(s.rest):
			i++
			c = s.rest[i]
		}
		b.WriteByte(c)
	}
	s.err = s.errorf("a quote is not closed")
	s.rest = ""
}

// errorf prefers the scanner's own error, of which an unexpected end is a consequence.
func (s *jaasScanner) errorf(format string, args ...any) error {
	if s.err != nil {
		return s.err
	}
	return fmt.Errorf("%w: line %d: %s", ErrJAAS, s.line, fmt.Sprintf(format, args...))
}
