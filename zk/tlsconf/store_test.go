package tlsconf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stored is a file that keytool or openssl made: see testdata/stores/make.sh.
func stored(name string) string { return filepath.Join("testdata", "stores", name) }

const password = "secret6"

func TestKeyStores(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	jks, err := os.ReadFile(stored("server.jks"))
	if err != nil {
		t.Fatal(err)
	}
	const server = `CN=server,OU=R\+D,O=Example\, Inc.,C=DE`
	for _, test := range []struct {
		name    string
		store   Store
		subject string // "" where an error is wanted
		chain   int
		errors  []string // the setting, and what the message has to say
	}{
		{name: "JKS", store: Store{Path: stored("server.jks"), Password: password}, subject: server, chain: 2},
		{name: "PKCS12", store: Store{Path: stored("server.p12"), Password: password}, subject: server, chain: 2},
		{name: "PKCS12 with an RSA key", store: Store{Path: stored("rsa.p12"), Password: password}, subject: "CN=rsa", chain: 1},
		{name: "PKCS12 called JKS", store: Store{Path: stored("server.p12"), Type: JKS, Password: password}, subject: server, chain: 2},
		{name: "JKS called PKCS12", store: Store{Path: stored("server.jks"), Type: PKCS12, Password: password}, subject: server, chain: 2},
		{name: "JKS with a trusted certificate", store: Store{Path: stored("both.jks"), Password: password}, subject: server, chain: 2},
		{name: "PKCS12 with a trusted certificate", store: Store{Path: stored("both.p12"), Password: password}, subject: server, chain: 2},
		{name: "PEM", store: Store{Path: stored("server.pem")}, subject: server, chain: 2},
		{name: "PEM, encrypted", store: Store{Path: stored("encrypted.pem"), Password: password}, subject: server, chain: 2},
		{name: "PEM with an EC key", store: Store{Path: stored("ec.pem")}, subject: server, chain: 2},
		{name: "password in a file", store: Store{Path: stored("server.jks"), Password: "wrong", PasswordPath: write("password", password+"\n")}, subject: server, chain: 2},

		{name: "no file", store: Store{Path: filepath.Join(dir, "none.jks")},
			errors: []string{"ssl.keyStore.location: can't read", "none.jks: no such file"}},
		{name: "a directory", store: Store{Path: dir}, errors: []string{"ssl.keyStore.location: can't read", "is a directory"}},
		{name: "no password file", store: Store{Path: stored("server.jks"), PasswordPath: filepath.Join(dir, "none")},
			errors: []string{"ssl.keyStore.passwordPath: can't read", "none: no such file"}},
		{name: "wrong password of a JKS", store: Store{Path: stored("server.jks"), Password: "secret7"},
			errors: []string{"ssl.keyStore.password: the password does not open", "keytool -list -keystore"}},
		{name: "wrong password of a PKCS12", store: Store{Path: stored("server.p12"), Password: "secret7"},
			errors: []string{"ssl.keyStore.password: the password does not open"}},
		{name: "wrong password of a PEM", store: Store{Path: stored("encrypted.pem"), Password: "secret7"},
			errors: []string{"ssl.keyStore.password: the password does not open"}},
		{name: "wrong password in a file", store: Store{Path: stored("server.jks"), PasswordPath: write("wrong", "secret7")},
			errors: []string{"ssl.keyStore.passwordPath: the password does not open"}},
		{name: "no password for a JKS", store: Store{Path: stored("server.jks")}, errors: []string{"ssl.keyStore.password: is not set"}},
		{name: "no password for a PKCS12", store: Store{Path: stored("server.p12")}, errors: []string{"ssl.keyStore.password: is not set"}},
		{name: "no password for a PEM", store: Store{Path: stored("encrypted.pem")}, errors: []string{"ssl.keyStore.password: is not set"}},
		{name: "a key with its own password", store: Store{Path: stored("two.jks"), Password: password},
			errors: []string{`the key "two" has another password than the store`, "keytool -keypasswd -alias two"}},
		{name: "a PEM called JKS", store: Store{Path: stored("server.pem"), Type: JKS}, errors: []string{"ssl.keyStore.type: ", "server.pem is a PEM file, not JKS"}},
		{name: "a JKS called PEM", store: Store{Path: stored("server.jks"), Type: PEM}, errors: []string{"ssl.keyStore.type: ", "is a JKS file, not PEM"}},
		{name: "a DSA key", store: Store{Path: stored("dsa.jks"), Password: password}, errors: []string{"ssl.keyStore.location: can't use"}},
		{name: "several keys in a PKCS12", store: Store{Path: stored("several.p12"), Password: password}, errors: []string{"exactly one key"}},
		{name: "an old encryption", store: Store{Path: stored("encrypted-old.pem"), Password: password}, errors: []string{"ssl.keyStore.password: the password does not open"}},
		{name: "only certificates", store: Store{Path: stored("ca.pem")}, errors: []string{"ssl.keyStore.location: ", "holds no private key", "keytool -genkeypair"}},
		{name: "only certificates, JKS", store: Store{Path: stored("trust.jks"), Password: password}, errors: []string{"holds no private key"}},
		{name: "an empty file", store: Store{Path: write("empty.jks", "")}, errors: []string{"ssl.keyStore.type: ", "is empty"}},
		{name: "garbage", store: Store{Path: write("garbage.jks", "hello")}, errors: []string{"is neither a JKS nor a PKCS12 nor a PEM file"}},
		{name: "half a JKS", store: Store{Path: write("half.jks", string(jks[:len(jks)/2])), Password: password}, errors: []string{"or the file is damaged"}},
		{name: "BCFKS", store: Store{Path: write("x.bcfks", "0")}, errors: []string{"ssl.keyStore.type: ", "BCFKS (Bouncy Castle)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := Settings{Prefix: "ssl.", KeyStore: test.store}
			certs, err := settings.keys()
			expectError(t, err, test.errors)
			if test.subject == "" || err != nil {
				return
			}
			got, err := Subject(certs[0].Leaf)
			if err != nil || got != test.subject || len(certs) != 1 || len(certs[0].Certificate) != test.chain {
				t.Errorf("%d keys, the first %q (%v) with %d certificates; want one, %q with %d", len(certs), got, err, len(certs[0].Certificate), test.subject, test.chain)
			}
		})
	}
}

// expectError wants an *Error that says all of the parts, or none.
func expectError(t *testing.T, err error, parts []string) {
	t.Helper()
	var setting *Error
	switch {
	case (err != nil) != (len(parts) > 0):
		t.Fatalf("error %v, want one that says %q", err, parts)
	case err != nil && !errors.As(err, &setting):
		t.Fatalf("%v is no *Error", err)
	case err != nil && (setting.Fix == "" || setting.Problem == ""):
		t.Errorf("%#v does not say what is wrong and what to do", setting)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestTrustStores(t *testing.T) {
	for _, test := range []struct {
		name   string
		store  Store
		errors []string // nil where the certificate of the authority is wanted
	}{
		{"JKS", Store{Path: stored("trust.jks"), Password: password}, nil},
		{"PKCS12", Store{Path: stored("trust.p12"), Password: password}, nil},
		{"PKCS12 called JKS", Store{Path: stored("trust.p12"), Type: JKS, Password: password}, nil},
		{"PEM", Store{Path: stored("ca.pem")}, nil},
		{"JKS with a key, too", Store{Path: stored("both.jks"), Password: password}, nil},
		{"wrong password", Store{Path: stored("trust.p12"), Password: "secret7"}, []string{"ssl.trustStore.password: the password does not open"}},
		{"no password", Store{Path: stored("trust.jks")}, []string{"ssl.trustStore.password: is not set"}},
		{"PKCS12 without Java's mark", Store{Path: stored("unmarked.p12"), Password: password}, []string{"ssl.trustStore.location: ", "not marked as trusted", "keytool -importcert"}},
		{"PKCS12 with a key, too", Store{Path: stored("both.p12"), Password: password}, []string{"ssl.trustStore.location: ", "a store of their own"}},
		{"only a key", Store{Path: stored("server.jks"), Password: password}, []string{"ssl.trustStore.location: ", "holds no trusted certificate"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings := Settings{Prefix: "ssl.", TrustStore: test.store}
			certs, err := settings.trusted()
			expectError(t, err, test.errors)
			if err == nil && (len(certs) != 1 || certs[0].Subject.CommonName != "Test CA") {
				t.Errorf("%d certificates, the first of %v", len(certs), certs[0].Subject)
			}
		})
	}
}

// FuzzStores reads garbage of every format: an error, never a panic, never memory that
// only a length in the file asks for.
func FuzzStores(f *testing.F) {
	files, err := filepath.Glob(stored("*"))
	if err != nil || len(files) == 0 {
		f.Fatal("no stores", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		if strings.HasSuffix(file, ".jks") {
			f.Add(b[:len(b)-20], true)
		}
	}
	path := filepath.Join(f.TempDir(), "store")
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = append(b, jksDigest(b, password)...)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		settings := Settings{Prefix: "ssl.", KeyStore: Store{Path: path, Password: password}, TrustStore: Store{Path: path, Password: password}}
		_, keyErr := settings.keys()
		_, trustErr := settings.trusted()
		for _, err := range []error{keyErr, trustErr} {
			if setting := (*Error)(nil); err != nil && !errors.As(err, &setting) {
				t.Errorf("%v is no *Error", err)
			}
		}
	})
}
