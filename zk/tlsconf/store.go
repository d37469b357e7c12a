package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Type is a format of stores.
type Type string

// The formats that can be read.
const (
	JKS    Type = "JKS"
	PKCS12 Type = "PKCS12"
	PEM    Type = "PEM"
)

// maxStoreBytes bounds a store: real ones have some kilobytes, the system's trusted
// certificates some hundred.
const maxStoreBytes = 16 << 20

// Store is a file with keys or certificates.
type Store struct {
	Path string // "" for none
	// Type may be "": the content tells it. JKS and PKCS12 may stand for each other, as
	// in Java.
	Type     Type
	Password string
	// PasswordPath is a file with the password, which counts before Password.
	PasswordPath string
}

// String gives the path, so that no password gets into a log.
func (s Store) String() string { return s.Path }

// GoString is like String.
func (s Store) GoString() string { return s.Path }

// errPassword is what a reader of a format says when the password does not open it.
var errPassword = errors.New("wrong password")

// files are those that the content of the store depends on.
func (s Store) files() []string {
	if s.PasswordPath != "" && s.Path != "" {
		return []string{s.Path, s.PasswordPath}
	}
	return []string{s.Path}
}

// chain is a key with its certificates, and where it came from.
type chain struct {
	name  string // alias in the store, "" where it has none
	key   crypto.PrivateKey
	certs []*x509.Certificate // any order, more than the chain's
}

// keys reads the own certificates with their keys. kind is "keyStore", for messages.
func (s *Settings) keys() ([]tls.Certificate, error) {
	const kind = "keyStore"
	var chains []chain
	if err := s.read(kind, s.KeyStore, func(t Type, b []byte, password string) (err error) {
		switch t {
		case JKS:
			chains, err = jksKeys(b, password)
		case PKCS12:
			chains, err = pkcs12Keys(b, password)
		case PEM:
			chains, err = pemKeys(b, password)
		}
		return err
	}); err != nil {
		return nil, err
	}
	certs := make([]tls.Certificate, 0, len(chains))
	for _, c := range chains {
		cert, err := c.certificate()
		if err != nil {
			return nil, s.errorf(kind+".location", "put the certificate of the key into the store, with those that signed it", "%s: %v", s.KeyStore.Path, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, s.errorf(kind+".location", "make one with a key: keytool -genkeypair -alias server -keyalg EC -dname CN=HOST -ext san=dns:HOST -keystore FILE -storetype PKCS12",
			"%s holds no private key", s.KeyStore.Path)
	}
	return certs, nil
}

// trusted reads the certificates to trust.
func (s *Settings) trusted() ([]*x509.Certificate, error) {
	const kind = "trustStore"
	var certs []*x509.Certificate
	if err := s.read(kind, s.TrustStore, func(t Type, b []byte, password string) (err error) {
		switch t {
		case JKS:
			certs, err = jksTrusted(b, password)
		case PKCS12:
			certs, err = pkcs12Trusted(b, password)
		case PEM:
			certs, err = pemTrusted(b)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if len(certs) == 0 {
		return nil, s.errorf(kind+".location", "add one: keytool -importcert -alias ca -file ca.pem -keystore FILE", "%s holds no trusted certificate", s.TrustStore.Path)
	}
	return certs, nil
}

// read hands a store's content to use, and turns what may go wrong into an *Error.
func (s *Settings) read(kind string, store Store, use func(t Type, b []byte, password string) error) error {
	b, err := readFile(store.Path)
	if err != nil {
		return s.errorf(kind+".location", "write the path of a file that the user who runs this program can read", "can't read %s: %v", store.Path, err)
	}
	password, passwordKey := store.Password, kind+".password"
	if store.PasswordPath != "" {
		passwordKey = kind + ".passwordPath"
		content, err := readFile(store.PasswordPath)
		if err != nil {
			return s.errorf(passwordKey, "write the path of a file with the password that the user who runs this program can read", "can't read %s: %v", store.PasswordPath, err)
		}
		password = strings.TrimRight(string(content), "\r\n")
	}
	t, err := recognize(store, b)
	if err != nil {
		return s.errorf(kind+".type", "name a JKS, PKCS12 or PEM file in "+s.Prefix+kind+".location, and leave "+s.Prefix+kind+".type out", "%s %v", store.Path, err)
	}
	err = protect(func() error { return use(t, b, password) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errPassword) && password == "":
		return s.errorf(passwordKey, "add it, or "+s.Prefix+kind+".passwordPath", "is not set, but %s needs a password (or is damaged)", store.Path)
	case errors.Is(err, errPassword):
		return s.errorf(passwordKey, "correct the password; to try one: "+tryCommand(t, store.Path), "the password does not open %s (or the file is damaged)", store.Path)
	}
	return s.errorf(kind+".location", "look at it with: "+tryCommand(t, store.Path), "can't use %s, a %s file: %v", store.Path, t, err)
}

func tryCommand(t Type, path string) string {
	if t == PEM {
		return "openssl pkey -noout -in " + path
	}
	return "keytool -list -keystore " + path
}

// readFile reads a file of bounded size.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, reason(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStoreBytes+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(b) > maxStoreBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxStoreBytes)
	}
	return b, nil
}

// reason takes the path out of an error whose message names it already.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// recognize tells a store's type by its content, and compares it with what was said.
func recognize(s Store, b []byte) (Type, error) {
	var is Type
	switch {
	case s.Type == "" && strings.EqualFold(filepath.Ext(s.Path), ".bcfks"):
		return "", errors.New("is a BCFKS (Bouncy Castle) store, which is not supported")
	case bytes.HasPrefix(b, jksMagic):
		is = JKS
	case bytes.HasPrefix(b, []byte{0xce, 0xce, 0xce, 0xce}):
		return "", errors.New("is a JCEKS store, which is not supported")
	case len(b) > 0 && b[0] == 0x30: // an ASN.1 sequence
		is = PKCS12
	case bytes.Contains(b, []byte("-----BEGIN ")):
		is = PEM
	case len(b) == 0:
		return "", errors.New("is empty")
	default:
		return "", errors.New("is neither a JKS nor a PKCS12 nor a PEM file")
	}
	if s.Type != "" && (s.Type == PEM) != (is == PEM) {
		return "", fmt.Errorf("is a %s file, not %s", is, s.Type)
	}
	return is, nil
}

// protect turns a panic of a decoder into an error: a store that somebody replaces while
// the server runs must not end it.
func protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it is damaged: %v", p)
		}
	}()
	return f()
}

// certificate puts the certificates of a key in order: its own, then each signer.
func (c chain) certificate() (tls.Certificate, error) {
	name := "the key"
	if c.name != "" {
		name = fmt.Sprintf("the key %q", c.name)
	}
	signer, ok := c.key.(crypto.Signer)
	if !ok {
		return tls.Certificate{}, fmt.Errorf("%s is of a kind that TLS can't use", name)
	}
	own := slices.IndexFunc(c.certs, func(cert *x509.Certificate) bool {
		public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && public.Equal(signer.Public())
	})
	if own < 0 {
		return tls.Certificate{}, fmt.Errorf("%s has no certificate", name)
	}
	cert := tls.Certificate{PrivateKey: c.key, Leaf: c.certs[own]}
	for at, taken := c.certs[own], 0; at != nil && taken < len(c.certs); taken++ {
		cert.Certificate = append(cert.Certificate, at.Raw)
		at = signerOf(at, c.certs)
	}
	return cert, nil
}

// signerOf finds the certificate that signed another; nil for one that signed itself.
func signerOf(cert *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	if bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		return nil
	}
	for _, other := range among {
		if bytes.Equal(other.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(other) == nil {
			return other
		}
	}
	return nil
}
