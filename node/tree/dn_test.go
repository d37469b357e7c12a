package tree

import "testing"

// TestValidDN compares with what Java's X500Principal (OpenJDK 17) takes.
func TestValidDN(t *testing.T) {
	for _, name := range []string{
		"", " ", "CN=alice", "cn=alice", "CN = alice", "CN=alice, O=Example, C=DE", "CN=alice;O=Example", "CN=alice+UID=7,O=x", "CN=", `CN="alice, b",O=x`,
		`CN=alice\,b,O=x`, `CN=alice\2Cb`, "2.5.4.3=alice", "OID.2.5.4.3=alice", "1.2=a", "emailAddress=a@b", "C=Germany", "CN=a=b", "CN=a b", "CN= a",
		"CN=日本", "CN=a\nb", `CN="a" ,O=b`, `CN="a\"b"`, `CN=a\"b`, " CN=a ", `CN=\ a`, `CN=a\ `, `CN="#0401"`, "CN=a#b", `O="x"+CN=b`, "OU=a,OU=b", `CN=a\+b`,
		`CN=a\=b`, `CN=a\#b`, `CN="a+b"`, "CN=#130161", "CN=#130161,O=x",
	} {
		if !validDN(name) {
			t.Errorf("%q should be valid", name)
		}
	}
	for _, name := range []string{
		"CN=alice,", ",CN=alice", "CN=alice,,O=x", "CN", "=alice", "alice", `CN="alice`, `CN=al"ice`, `CN=alice\`, "CN=#0", "CN=#", "CN=#13016", "CN=#0401",
		"1=a", "3.1.2=a", "1.40.2=a", "2.5.4.=a", "XX=alice", "E=a@b", "SN=a", "GN=a", "TITLE=a", "CN=a<b", "CN=a+b", "CN=a+", "+CN=a", `CN="a"b`, "C N=a", "CN=a;",
		"CN=#zz", "NAME=a", `CN=a\zb`, `CN="a\qb"`, "CN=\xff",
	} {
		if validDN(name) {
			t.Errorf("%q should not be valid", name)
		}
	}
}
