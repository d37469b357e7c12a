package sasl

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

const jaasExample = `/* users of
 the server */
Server { // the default name
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="admin secret"
    user_bob="b\"ob\\"	# a password with a quote
    debug=true;
};

QuorumServer {
       org.apache.zookeeper.server.auth.DigestLoginModule REQUIRED
       user_test="test";
};
Client {
       org.apache.zookeeper.server.auth.DigestLoginModule required
       username="bob"
       password="bob;{}";
};
Kerberos { com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true principal="zk/h@R"; };
Empty { };
`

func TestParseJAAS(t *testing.T) {
	file, err := ParseJAAS(jaasExample)
	if err != nil {
		t.Fatal(err)
	}
	users, err := file.Users("Server")
	if want := map[string]string{"super": "admin secret", "bob": `b"ob\`}; err != nil || !maps.Equal(users, want) {
		t.Errorf("users are %q, %v, want %q", users, err, want)
	}
	if user, password, err := file.Credentials("Client"); err != nil || user != "bob" || password != "bob;{}" {
		t.Errorf("credentials are %q, %q, %v", user, password, err)
	}
	if got := file["Server"][0].Options["debug"]; got != "true" {
		t.Errorf("an option without quotes is %q", got)
	}
	for section, part := range map[string]string{
		"Kerberos": "GSSAPI", "Missing": "no section Missing", "Empty": "is empty",
	} {
		if _, err := file.Users(section); !errors.Is(err, ErrJAAS) || !strings.Contains(err.Error(), part) {
			t.Errorf("users of %s: %v", section, err)
		}
	}
	if _, _, err := file.Credentials("Server"); !errors.Is(err, ErrJAAS) {
		t.Errorf("credentials of a server: %v", err)
	}
}

func TestBadJAAS(t *testing.T) {
	for text, part := range map[string]string{
		"Server":                             "line 1: section Server must begin with {",
		"Server {":                           "class of a login module",
		"Server {\nM sometimes;\n};":         "line 2: behind M one of required",
		"Server {\nM required\na;\n};":       "line 3: option a has no =",
		"Server {\nM required a=;\n};":       "line 2: option a has no value",
		"Server { M required =b; };":         "an option name=value",
		"Server { M required a=b":            "an option name=value",
		"Server { M required a=b; }":         "must end with };",
		"Server { M required a=\"b; };":      "a quote is not closed",
		"Server {\nM required a=\"b\n\"; };": "line 2: a quote is not closed at the end of the line",
		"/* ":                                "a comment is not closed",
		"Server {};\nServer {};":             "line 2: section Server is there twice",
		"{}":                                 "the name of a section is wanted",
	} {
		if _, err := ParseJAAS(text); !errors.Is(err, ErrJAAS) || !strings.Contains(err.Error(), part) {
			t.Errorf("%q: %v, want %q", text, err, part)
		}
	}
}

func FuzzParseJAAS(f *testing.F) {
	f.Add(jaasExample)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ParseJAAS(text)
		if err == nil {
			file.Users("Server")
			file.Credentials("Client")
		}
	})
}
