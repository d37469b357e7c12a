package tlsconf

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// keywords are the attribute types that RFC 2253 gives a name, and the only ones for which
// Java's X500Principal.getName() uses one.
var keywords = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// stringTags are the ASN.1 types whose values are written as text.
var stringTags = []int{
	asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagT61String, asn1.TagIA5String, asn1.TagGeneralString, asn1.TagBMPString,
}

// attribute is one type and value of a relative distinguished name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type relativeNameSET []attribute // encoding/asn1 knows a SET by the end of the type's name

// Subject is a certificate's subject in the form that Java's X500Principal.getName() gives
// it: RFC 2253, the last relative name first. It is what an ACL of the scheme x509 names,
// byte for byte.
func Subject(cert *x509.Certificate) (string, error) {
	var names []relativeNameSET
	rest, err := asn1.Unmarshal(cert.RawSubject, &names)
	if err != nil || len(rest) > 0 {
		return "", fmt.Errorf("subject %x: %w", cert.RawSubject, err)
	}
	var b strings.Builder
	for i, name := range slices.Backward(names) {
		for j, a := range name {
			if j > 0 {
				b.WriteByte('+')
			}
			a.appendTo(&b)
		}
		if i > 0 {
			b.WriteByte(',')
		}
	}
	return b.String(), nil
}

func (a attribute) appendTo(b *strings.Builder) {
	id := a.Type.String()
	keyword, known := keywords[id]
	if !known {
		keyword = id
	}
	b.WriteString(keyword)
	b.WriteByte('=')
	if !known || a.Value.Class != asn1.ClassUniversal || !slices.Contains(stringTags, a.Value.Tag) {
		b.WriteByte('#')
		b.WriteString(hex.EncodeToString(a.Value.FullBytes))
		return
	}
	b.WriteString(escape(string(a.Value.Bytes)))
}

// escape quotes a value. What is not UTF-8 shows as U+FFFD, as in Java, whatever the type.
func escape(value string) string {
	blank := func(c rune) bool { return c == ' ' || c == '\r' }
	var runes []rune
	for len(value) > 0 {
		c, size := utf8.DecodeRuneInString(value)
		runes = append(runes, c)
		value = value[size:]
	}
	first, last := 0, len(runes)-1
	for first < len(runes) && blank(runes[first]) {
		first++
	}
	for last >= 0 && blank(runes[last]) {
		last--
	}
	var b strings.Builder
	for i, c := range runes {
		switch {
		case c == 0:
			b.WriteString(`\00`)
			continue
		case strings.ContainsRune(`,=+<>#;"\`, c), i < first, i > last:
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
