package tlsconf

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{ // want: an error, or the settings
		{"keyStore.location", "/a", "{ssl. /a  "},
		{"protocol", "TLSv1.2", "[TLS 1.2 TLS 1.2]"},
		{"protocol", "TLS", "[TLS 1.2 TLS 1.3]"},
		{"enabledProtocols", "TLSv1.3, tlsv1.2", "[TLS 1.2 TLS 1.3]"},
		{"enabledProtocols", "TLSv1.3", "[TLS 1.3 TLS 1.3]"},
		{"enabledProtocols", "TLSv1.1,TLSv1.2", "error ssl.enabledProtocols: TLSv1.1 is broken"},
		{"protocol", "SSL5", `error ssl.protocol: "SSL5" is not a protocol; write ssl.protocol=TLSv1.2,TLSv1.3`},
		{"ciphersuites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "[TLS 1.2 TLS 1.2] TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
		{"ciphersuites", " tls_ecdhe_rsa_with_aes_128_gcm_sha256 , TLS_AES_128_GCM_SHA256,", "[TLS 1.2 TLS 1.3] TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 TLS_AES_128_GCM_SHA256"},
		{"ciphersuites", "TLS_AES_256_GCM_SHA384", "[TLS 1.3 TLS 1.3] TLS_AES_256_GCM_SHA384"},
		{"ciphersuites", "SSL_RSA_WITH_3DES_EDE_CBC_SHA", "[TLS 1.2 TLS 1.2] TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
		{"ciphersuites", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", `error ssl.ciphersuites: there is no cipher suite "TLS_DHE_RSA_WITH_AES_128_CBC_SHA" here; remove it; there are: TLS_`},
		{"clientAuth", "", "need"}, {"clientAuth", "NEED", "need"}, {"clientAuth", "want", "want"}, {"clientAuth", "None", "none"},
		{"clientAuth", "maybe", `error ssl.clientAuth: "maybe" is none of need, want, none`},
		{"keyStore.type", "pkcs12", "PKCS12"}, {"keyStore.type", "", ""},
		{"keyStore.type", "BCFKS", "error ssl.keyStore.type: stores of type BCFKS"},
		{"trustStore.type", "ZIP", `error ssl.trustStore.type: "ZIP" is not a type`},
		{"crl", "false", ""}, {"ocsp", "FALSE", ""},
		{"crl", "true", "error ssl.crl: revocation lists are not supported"},
		{"ocsp", "true", "error ssl.ocsp: asking for revocation is not supported"},
		{"ocsp", "yes", `error ssl.ocsp: "yes" is neither true nor false`},
		{"hostnameVerification", "maybe", `error ssl.hostnameVerification: "maybe" is neither`},
		{"handshakeDetectionTimeoutMillis", "100", "100ms"}, {"handshakeDetectionTimeoutMillis", "0", "0s"},
		{"handshakeDetectionTimeoutMillis", "soon", `error ssl.handshakeDetectionTimeoutMillis: "soon" is not`},
		{"authProvider", "x509", ""}, {"authProvider", "mine", `error ssl.authProvider: "mine" is a Java class's scheme`},
		{"context.supplier.class", "a.B", `error ssl.context.supplier.class: "a.B" is a Java class`},
		{"colour", "blue", "error ssl.colour: there is no such setting"},
	} {
		s := Settings{Prefix: "ssl."}
		err := s.Set(test.name, test.value)
		if want, isError := strings.CutPrefix(test.want, "error "); isError {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s=%s: error %v, want %q", test.name, test.value, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s=%s: %v", test.name, test.value, err)
			continue
		}
		if got := describe(s); !strings.Contains(got, test.want) {
			t.Errorf("%s=%s gives %s, want %s in it", test.name, test.value, got, test.want)
		}
	}
}

func describe(s Settings) string {
	oldest, newest := s.versions()
	text := fmt.Sprintf("{%s %s %s %s %s %s %s %v %v %v %s}", s.Prefix, s.KeyStore.Path, s.KeyStore.Password, s.KeyStore.PasswordPath,
		s.KeyStore.Type, s.TrustStore, s.TrustStore.Type, s.Protocol, s.EnabledProtocols, s.CipherSuites, [...]string{"need", "want", "none"}[s.ClientAuth])
	text += fmt.Sprintf(" [%s %s]", tls.VersionName(oldest), tls.VersionName(newest))
	for _, id := range s.CipherSuites {
		text += " " + tls.CipherSuiteName(id)
	}
	return text + " " + s.HandshakeDetection.String()
}

func TestChecks(t *testing.T) {
	store := Store{Path: "x"}
	for _, test := range []struct {
		s    Settings
		want []string
	}{
		{Settings{Prefix: "ssl.", KeyStore: store, TrustStore: store}, nil},
		{Settings{Prefix: "ssl.", KeyStore: store, ClientAuth: None}, nil},
		{Settings{Prefix: "ssl.", KeyStore: store, ClientAuth: Want}, nil},
		{Settings{Prefix: "ssl.", TrustStore: store}, []string{"ssl.keyStore.location: is not set"}},
		{Settings{Prefix: "ssl.quorum.", KeyStore: store}, []string{"ssl.quorum.trustStore.location: is not set", "ssl.quorum.clientAuth=none"}},
		{Settings{Prefix: "ssl.", KeyStore: store, TrustStore: store, Protocol: []uint16{tls.VersionTLS13}, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}},
			[]string{"ssl.ciphersuites: no suite belongs to TLS 1.3"}},
	} {
		expectError(t, test.s.CheckServer(), test.want)
	}
	some := Settings{Prefix: "ssl.", CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}}
	if warnings := some.Warnings(); len(warnings) != 1 || warnings[0].Key != "ssl.ciphersuites" {
		t.Errorf("warnings %v, want one of ssl.ciphersuites", warnings)
	}
	if all := (&Settings{CipherSuites: suites13}).Warnings(); len(all) != 0 {
		t.Errorf("warnings %v, want none", all)
	}
}

func TestPasswordsAreNotPrinted(t *testing.T) {
	s := Settings{KeyStore: Store{Path: "/p", Password: "hidden"}}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s)} {
		if strings.Contains(text, "hidden") {
			t.Errorf("%s shows the password", text)
		}
	}
}

func TestHandshakeDetection(t *testing.T) {
	if got := open(t, Settings{}).HandshakeDetection(); got != 5*time.Second {
		t.Errorf("the default is %v, want 5 s", got)
	}
	if got := open(t, Settings{HandshakeDetection: time.Second}).HandshakeDetection(); got != time.Second {
		t.Errorf("%v, want what was set", got)
	}
}
