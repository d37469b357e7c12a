package tlsconf

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// value is an attribute with a value of any ASN.1 type.
func value(oid string, tag int, content string) attribute {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(oid, ".") {
		n := 0
		for _, digit := range part {
			n = 10*n + int(digit-'0')
		}
		id = append(id, n)
	}
	return attribute{Type: id, Value: asn1.RawValue{Tag: tag, Bytes: []byte(content)}}
}

func encoded(t *testing.T, names ...relativeNameSET) []byte {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

const (
	cn, o, ou, c, l, st, street = "2.5.4.3", "2.5.4.10", "2.5.4.11", "2.5.4.6", "2.5.4.7", "2.5.4.8", "2.5.4.9"
	dc, uid                     = "0.9.2342.19200300.100.1.25", "0.9.2342.19200300.100.1.1"
	email, serial, title        = "1.2.840.113549.1.9.1", "2.5.4.5", "2.5.4.12"
	utf8Tag, printable, ia5     = asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String
)

// subjects are names with what Java 17 makes of them.
func subjects(t *testing.T) []struct {
	der  []byte
	want string
} {
	one := func(a attribute) []byte { return encoded(t, relativeNameSET{a}) }
	return []struct {
		der  []byte
		want string
	}{
		{encoded(t), ""},
		{one(value(cn, printable, "client1")), "CN=client1"},
		{encoded(t, relativeNameSET{value(c, printable, "DE")}, relativeNameSET{value(st, utf8Tag, "Hessen")}, relativeNameSET{value(l, utf8Tag, "Gießen")},
			relativeNameSET{value(o, utf8Tag, "Example, Inc.")}, relativeNameSET{value(ou, utf8Tag, "R+D")}, relativeNameSET{value(cn, utf8Tag, "zk client")}),
			`CN=zk client,OU=R\+D,O=Example\, Inc.,L=Gießen,ST=Hessen,C=DE`},
		{encoded(t, relativeNameSET{value(dc, ia5, "com")}, relativeNameSET{value(dc, ia5, "example")}, relativeNameSET{value(uid, utf8Tag, "u1"), value(cn, utf8Tag, "two")}),
			"CN=two+UID=u1,DC=example,DC=com"},
		{one(value(email, ia5, "a@example.com")), "1.2.840.113549.1.9.1=#160d61406578616d706c652e636f6d"},
		{one(value(serial, printable, "123")), "2.5.4.5=#1303313233"},
		{one(value(title, utf8Tag, "Dr")), "2.5.4.12=#0c024472"},
		{one(value(street, utf8Tag, "Main St")), "STREET=Main St"},
		{one(value(cn, utf8Tag, ` a "quoted"; <b> = c\d #e `)), "CN=\\ a \\\"quoted\\\"\\; \\<b\\> \\= c\\\\d \\#e\\ "},
		{one(value(cn, utf8Tag, "#x")), "CN=\\#x"},
		{one(value(cn, utf8Tag, "  ")), "CN=\\ \\ "},
		{one(value(cn, utf8Tag, "")), "CN="},
		{one(value(cn, utf8Tag, "a\x00b\nc\rd\r")), "CN=a\\00b\nc\rd\\\r"},
		{one(value(cn, utf8Tag, "日本 🙂")), "CN=日本 🙂"},
		{one(value(cn, asn1.TagBMPString, "\x00a\x00b")), "CN=\\00a\\00b"},
		{one(value(cn, asn1.TagT61String, "M\xfcnchen")), "CN=M�nchen"},
		{one(value(cn, asn1.TagGeneralString, "x")), "CN=x"},
		{one(value(cn, 28, "\x00\x00\x00a")), "CN=#1c0400000061"},
		{one(value(cn, asn1.TagOctetString, "x")), "CN=#040178"},
		{one(value(cn, asn1.TagInteger, "\x05")), "CN=#020105"},
		{one(value(cn, asn1.TagNumericString, "12")), "CN=#12023132"},
		{one(value(cn, 26, "visible")), "CN=#1a0776697369626c65"},
		{one(value(cn, printable, "not printable: ü*@")), "CN=not printable: ü*@"},
	}
}

func TestSubject(t *testing.T) {
	for _, test := range subjects(t) {
		got, err := Subject(&x509.Certificate{RawSubject: test.der})
		if err != nil || got != test.want {
			t.Errorf("%x: %q, %v; want %q", test.der, got, err, test.want)
		}
	}
}

// javaNames asks Java.
func javaNames(t *testing.T, ders [][]byte) []string {
	t.Helper()
	for _, program := range []string{"java", "javac"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s on the PATH to compare with; install it with: apt-get install default-jdk-headless", program)
		}
	}
	var in strings.Builder
	for _, der := range ders {
		in.WriteString(hex.EncodeToString(der) + "\n")
	}
	cmd := exec.Command("java", "testdata/Names.java")
	cmd.Stdin = strings.NewReader(in.String())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("java: %v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(names) != len(ders) {
		t.Fatalf("%d answers to %d names", len(names), len(ders))
	}
	for i, name := range names {
		if b, err := hex.DecodeString(name); err == nil {
			names[i] = string(b)
		}
	}
	return names
}

// TestSubjectAsJava compares with Java on the names above and on random ones.
func TestSubjectAsJava(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Java; run without -short")
	}
	var ders [][]byte
	for _, test := range subjects(t) {
		ders = append(ders, test.der)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	types := []string{cn, o, ou, c, l, st, street, dc, uid, email, serial, title}
	alphabet := []rune("ab 1,+\"\\<>;#=äß語🙂\x00\r\n\t'()./:?*&@_")
	for range 2000 {
		var names []relativeNameSET
		for range rng.IntN(4) {
			var name relativeNameSET
			for range 1 + rng.IntN(2) {
				var b strings.Builder
				for range rng.IntN(6) {
					b.WriteRune(alphabet[rng.IntN(len(alphabet))])
				}
				tag := []int{utf8Tag, utf8Tag, printable, ia5, asn1.TagT61String, asn1.TagOctetString}[rng.IntN(6)]
				name = append(name, value(types[rng.IntN(len(types))], tag, b.String()))
			}
			names = append(names, name)
		}
		ders = append(ders, encoded(t, names...))
	}
	for i, want := range javaNames(t, ders) {
		if want == "invalid" {
			continue
		}
		if got, err := Subject(&x509.Certificate{RawSubject: ders[i]}); err != nil || got != want {
			t.Errorf("%x: %q, %v; Java says %q", ders[i], got, err, want)
		}
	}
}
