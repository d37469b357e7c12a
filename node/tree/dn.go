package tree

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// dnKeywords are the attributes that Java's X500Principal knows by name. Case does not count.
var dnKeywords = []string{
	"C", "CN", "DC", "DNQ", "DNQUALIFIER", "EMAIL", "EMAILADDRESS", "GENERATION", "GIVENNAME",
	"INITIALS", "IP", "L", "O", "OU", "S", "SERIALNUMBER", "ST", "STREET", "SURNAME", "T", "UID",
}

// validDN reports whether an id of the scheme x509 can be a subject's distinguished name
// (RFC 2253, with Java's keywords): keyword=value, divided by commas, semicolons or,
// within one level, plus signs. The empty name is one.
func validDN(id string) bool {
	if strings.TrimSpace(id) == "" {
		return true
	}
	for rest, more := id, true; more; {
		keyword, value, found := strings.Cut(rest, "=")
		if !found || !validDNKeyword(strings.TrimSpace(keyword)) {
			return false
		}
		var ok bool
		if rest, more, ok = skipDNValue(strings.TrimLeft(value, " \n")); !ok {
			return false
		}
	}
	return true
}

func validDNKeyword(keyword string) bool {
	keyword = strings.ToUpper(keyword)
	if slices.Contains(dnKeywords, keyword) {
		return true
	}
	// An object identifier: at least two numbers, the second bounded by the first.
	arcs := strings.Split(strings.TrimPrefix(keyword, "OID."), ".")
	if len(arcs) < 2 {
		return false
	}
	numbers := make([]uint64, len(arcs))
	for i, arc := range arcs {
		var err error
		if numbers[i], err = strconv.ParseUint(arc, 10, 31); err != nil {
			return false
		}
	}
	return numbers[0] == 2 || numbers[0] < 2 && numbers[1] <= 39
}

// skipDNValue passes a value and the divider behind it. more says that there was one.
func skipDNValue(s string) (rest string, more, ok bool) {
	if strings.HasPrefix(s, "#") {
		end := strings.IndexAny(s, ",;+")
		if end < 0 {
			return "", false, validDER(s[1:])
		}
		return s[end+1:], true, validDER(s[1:end])
	}
	quoted := strings.HasPrefix(s, `"`)
	at := 0
	if quoted {
		at = 1
	}
	for at < len(s) {
		switch c := s[at]; {
		case c == '\\':
			size := dnEscape(s[at+1:])
			if size == 0 {
				return "", false, false
			}
			at += size
		case quoted && c == '"':
			rest := strings.TrimLeft(s[at+1:], " \n")
			if rest == "" {
				return "", false, true
			}
			return rest[1:], true, strings.IndexByte(",;+", rest[0]) >= 0
		case quoted:
		case c == ',' || c == ';' || c == '+':
			return s[at+1:], true, true
		case c == '"' || c == '<' || c == '>':
			return "", false, false
		}
		at++
	}
	return "", false, !quoted && utf8.ValidString(s)
}

// dnEscape returns the size of what stands behind a backslash: two hexadecimal digits, or
// a character that means something else without it. 0 if it is none of them.
func dnEscape(s string) int {
	if len(s) >= 2 {
		if _, err := hex.DecodeString(s[:2]); err == nil {
			return 2
		}
	}
	if s != "" && strings.IndexByte(` ,=+<>#;"\`, s[0]) >= 0 {
		return 1
	}
	return 0
}

// validDER reports whether digits are a whole value in the encoding of ASN.1, with a
// length of one byte.
func validDER(digits string) bool {
	b, err := hex.DecodeString(strings.TrimSpace(digits))
	return err == nil && len(b) >= 2 && b[1] < 0x80 && len(b) == 2+int(b[1])
}
