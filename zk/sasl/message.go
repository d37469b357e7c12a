package sasl

import (
	"errors"
	"fmt"
	"strings"
)

// maxMessageBytes bounds a message of either side. The RFC allows 2048 bytes to a
// challenge and 4096 to a response.
const maxMessageBytes = 4096

// ErrMalformed means that a message is not what the mechanism allows: its syntax, a
// directive that is missing, given twice or out of its range.
var ErrMalformed = errors.New("malformed DIGEST-MD5 message")

// ErrFailed means that the other side did not prove that it knows the password, or is
// not the service that was meant.
var ErrFailed = errors.New("DIGEST-MD5 authentication failed")

// ErrState means that a message came after the end of the exchange.
var ErrState = errors.New("the DIGEST-MD5 exchange is over")

// directives are the name=value pairs of one message, names in lower case.
type directives map[string]string

// parse reads a message: name=value or name="value", divided by commas, with optional
// blanks and empty elements between them. A backslash in quotes takes the next byte as
// it is. Only the realm, of which a server may offer several, may be repeated: the
// first one counts, and the number is returned.
func parse(message []byte) (d directives, realms int, err error) {
	if len(message) > maxMessageBytes {
		return nil, 0, fmt.Errorf("%w: %d bytes are more than %d", ErrMalformed, len(message), maxMessageBytes)
	}
	d = make(directives)
	rest := string(message)
	for {
		rest = strings.TrimLeft(rest, ", \t\r\n")
		if rest == "" {
			return d, realms, nil
		}
		var name, value string
		if name, value, rest, err = directive(rest); err != nil {
			return nil, 0, err
		}
		_, repeated := d[name]
		if name == "realm" {
			realms++
		}
		switch {
		case !repeated:
			d[name] = value
		case name != "realm":
			return nil, 0, fmt.Errorf("%w: %s is given twice", ErrMalformed, name)
		}
	}
}

// directive cuts the first name and value off a message.
func directive(s string) (name, value, rest string, err error) {
	name, rest, found := strings.Cut(s, "=")
	name = strings.ToLower(strings.TrimRight(name, " \t\r\n"))
	if !found || !isToken(name) {
		return "", "", "", fmt.Errorf("%w: no directive at %.20q", ErrMalformed, s)
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if strings.HasPrefix(rest, `"`) {
		value, rest, err = quoted(rest[1:])
	} else {
		end := strings.IndexAny(rest, ", \t\r\n")
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
		// Some clients leave out the quotes that the slash of a digest-uri needs.
		if value == "" || strings.ContainsFunc(value, isSpecial) {
			err = fmt.Errorf("%w: the value of %s is empty or needs quotes", ErrMalformed, name)
		}
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if err == nil && rest != "" && rest[0] != ',' {
		err = fmt.Errorf("%w: no comma behind the value of %s", ErrMalformed, name)
	}
	return name, value, rest, err
}

// quoted cuts off a value whose opening quote is gone already.
func quoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			if i++; i == len(s) {
				break
			}
			fallthrough
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("%w: a quote is not closed", ErrMalformed)
}

// isToken reports whether s can be the name of a directive.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return isSpecial(r) || strings.ContainsRune(`()<>@;:/[]?={}`, r)
	})
}

// isSpecial reports whether a value with this character must be in quotes.
func isSpecial(r rune) bool { return r <= ' ' || r >= 0x7f || r == ',' || r == '"' || r == '\\' }

// message collects directives in the order in which they are sent.
type message struct{ b strings.Builder }

func (m *message) token(name, value string) {
	if m.b.Len() > 0 {
		m.b.WriteByte(',')
	}
	m.b.WriteString(name + "=" + value)
}

func (m *message) quoted(name, value string) {
	m.token(name, `"`+quoteEscapes.Replace(value)+`"`)
}

var quoteEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (m *message) bytes() []byte { return []byte(m.b.String()) }
