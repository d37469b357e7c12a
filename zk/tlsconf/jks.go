package tlsconf

import (
	"bytes"
	"crypto/sha1" // JKS is defined by it
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
)

// A JKS file is the magic, int version, int count, the entries, and a digest of all that
// with the password. Entries have int tag (1 key, 2 certificate), string alias, long time;
// a key then int length and the encrypted key, int count and the certificates; a
// certificate has a string type (version 2 only), int length and the DER.
var (
	jksMagic     = []byte{0xfe, 0xed, 0xfe, 0xed}
	errTruncated = errors.New("it ends in the middle of an entry")
)

const jksKeyTag, jksCertTag = 1, 2

// openJKS checks a store before the library reads it, which believes every length.
func openJKS(b []byte, password string) (keystore.KeyStore, error) {
	ks := keystore.New(keystore.WithOrderedAliases(), keystore.WithCaseExactAliases())
	if len(b) < sha1.Size+12 {
		return ks, errTruncated
	}
	body, digest := b[:len(b)-sha1.Size], b[len(b)-sha1.Size:]
	if subtle.ConstantTimeCompare(jksDigest(body, password), digest) != 1 {
		return ks, errPassword
	}
	if err := checkJKS(body); err != nil {
		return ks, err
	}
	return ks, ks.Load(bytes.NewReader(b), []byte(password))
}

// jksDigest is the SHA-1 of the password in UTF-16, a phrase that the format prescribes,
// and the content.
func jksDigest(body []byte, password string) []byte {
	h := sha1.New()
	for _, unit := range utf16.Encode([]rune(password)) {
		h.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	h.Write([]byte("Mighty Aphrodite"))
	h.Write(body)
	return h.Sum(nil)
}

// checkJKS walks through the entries and checks that every length fits.
func checkJKS(body []byte) error {
	r := jksReader{rest: body}
	r.skip(len(jksMagic))
	version, entries := r.int(), r.int()
	if version != 1 && version != 2 {
		return fmt.Errorf("its version is %d, not 1 or 2", version)
	}
	certificate := func() {
		if version == 2 {
			r.skip(r.short())
		}
		r.skip(r.int())
	}
	for ; entries > 0 && !r.truncated; entries-- {
		tag := r.int()
		r.skip(r.short())
		r.skip(8)
		switch tag {
		case jksKeyTag:
			r.skip(r.int())
			for n := r.int(); n > 0 && !r.truncated; n-- {
				certificate()
			}
		case jksCertTag:
			certificate()
		default:
			return fmt.Errorf("an entry has the unknown tag %d", tag)
		}
	}
	if r.truncated {
		return errTruncated
	}
	return nil
}

// jksReader steps over big-endian lengths and what they count.
type jksReader struct {
	rest      []byte
	truncated bool // something did not fit
}

func (r *jksReader) skip(n int) []byte {
	if r.truncated || n < 0 || n > len(r.rest) {
		r.truncated = true
		return make([]byte, 4)
	}
	skipped := r.rest[:n]
	r.rest = r.rest[n:]
	return skipped
}

func (r *jksReader) int() int   { return int(binary.BigEndian.Uint32(r.skip(4))) }
func (r *jksReader) short() int { return int(binary.BigEndian.Uint16(r.skip(2))) }

func jksKeys(b []byte, password string) ([]chain, error) {
	ks, err := openJKS(b, password)
	if err != nil {
		return nil, err
	}
	var chains []chain
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		entry, err := ks.GetPrivateKeyEntry(alias, []byte(password))
		if err != nil {
			return nil, fmt.Errorf("the key %q has another password than the store (%w): give it the same one with keytool -keypasswd -alias %s", alias, err, alias)
		}
		c := chain{name: alias}
		if c.key, err = x509.ParsePKCS8PrivateKey(entry.PrivateKey); err != nil {
			return nil, fmt.Errorf("the key %q: %w", alias, err)
		}
		for _, content := range entry.CertificateChain {
			cert, err := x509.ParseCertificate(content.Content)
			if err != nil {
				return nil, fmt.Errorf("a certificate of the key %q: %w", alias, err)
			}
			c.certs = append(c.certs, cert)
		}
		chains = append(chains, c)
	}
	return chains, nil
}

func jksTrusted(b []byte, password string) ([]*x509.Certificate, error) {
	ks, err := openJKS(b, password)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for _, alias := range ks.Aliases() {
		if !ks.IsTrustedCertificateEntry(alias) {
			continue
		}
		entry, err := ks.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(entry.Certificate.Content)
		if err != nil {
			return nil, fmt.Errorf("the certificate %q: %w", alias, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
