package tree

import (
	"reflect"
	"testing"

	"zoolab/zk/jute"
)

func acl(perms int32, scheme, id string) jute.ACL {
	return jute.ACL{Perms: perms, ID: jute.ID{Scheme: scheme, ID: id}}
}

func caller(ids ...string) Caller {
	var c Caller
	for i := 0; i < len(ids); i += 2 {
		c.IDs = append(c.IDs, jute.ID{Scheme: ids[i], ID: ids[i+1]})
	}
	return c
}

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		acl  jute.ACL
		perm int32
		who  Caller
		want bool
	}{
		{acl(1, "world", "anyone"), 1, Caller{}, true},
		{acl(1, "world", "anyone"), 2, Caller{}, false},
		{acl(1, "world", "anyone"), 1 | 16, Caller{}, true},
		{acl(31, "world", "nobody"), 1, Caller{}, false},
		{acl(31, "digest", "u:h"), 1, caller("digest", "u:h"), true},
		{acl(31, "digest", "u:h"), 1, caller("digest", "u:i"), false},
		{acl(31, "digest", "u:h"), 1, caller("ip", "u:h"), false},
		{acl(0, "digest", "u:h"), 1, Caller{Super: true}, true},
		{acl(0, "digest", "u:h"), 1, caller("super", ""), true},
		{acl(31, "ip", "10.1.2.3"), 1, caller("ip", "10.1.2.3"), true},
		{acl(31, "ip", "10.1.2.3"), 1, caller("ip", "10.1.2.4"), false},
		{acl(31, "ip", "10.1.2.3/24"), 1, caller("ip", "10.1.2.4"), true},
		{acl(31, "ip", "10.1.2.3/23"), 1, caller("ip", "10.1.3.4"), true},
		{acl(31, "ip", "10.1.2.3/24"), 1, caller("ip", "10.1.3.4"), false},
		{acl(31, "ip", "0.0.0.0/0"), 1, caller("ip", "255.1.3.4"), true},
		{acl(31, "ip", "10.1.2.3/33"), 1, caller("ip", "10.1.2.3"), false},
		{acl(31, "ip", "10.1.2"), 1, caller("ip", "10.1.2"), false},
		{acl(31, "ip", "::1"), 1, caller("ip", "::1"), true},
		{acl(31, "ip", "::1"), 1, caller("ip", "0:0:0:0:0:0:0:1"), true},
		{acl(31, "ip", "::1"), 1, caller("ip", "127.0.0.1"), false},
		{acl(31, "ip", "2001:db8::/32"), 1, caller("ip", "2001:db8:1::7"), true},
		{acl(31, "ip", "2001:db8::/32"), 1, caller("ip", "2001:db9::"), false},
		{acl(31, "ip", "fe80::/10"), 1, caller("ip", "fe80:0:0:0:0:0:0:1%eth0"), true},
		{acl(31, "ip", "::/0"), 1, caller("ip", "10.0.0.1"), false},
		{acl(31, "ip", "0.0.0.0/0"), 1, caller("ip", "::1"), false},
		{acl(31, "ip", "::ffff:10.0.0.1"), 1, caller("ip", "10.0.0.1"), false},
		{acl(31, "sasl", "bob"), 1, caller("sasl", "bob"), false}, // not configured
		{acl(31, "x509", "CN=bob"), 1, caller("x509", "CN=bob"), false},
		{acl(31, "kerberos", "x"), 1, caller("kerberos", "x"), false},
	} {
		if got := Allowed([]jute.ACL{c.acl}, c.perm, c.who); got != c.want {
			t.Errorf("%+v for %d by %+v: %v, want %v", c.acl, c.perm, c.who, got, c.want)
		}
	}
	if !Allowed(nil, 31, Caller{}) {
		t.Error("no ACL should allow everything")
	}
}

// TestRules has what depends on a server's settings.
func TestRules(t *testing.T) {
	all := &Rules{SASL: true, X509: true, AnySASLUser: "any"}
	for _, c := range []struct {
		acl   jute.ACL
		who   Caller
		rules *Rules
		want  bool
	}{
		{acl(31, "sasl", "bob"), caller("sasl", "bob"), all, true},
		{acl(31, "sasl", "bob"), caller("sasl", "eve"), all, false},
		{acl(31, "sasl", "bob"), caller("sasl", "super"), all, true},
		{acl(31, "sasl", "any"), caller("sasl", "eve"), all, true},
		{acl(31, "sasl", "any"), caller("sasl", "eve"), &Rules{SASL: true}, false},
		{acl(31, "sasl", ""), caller("sasl", "eve"), &Rules{SASL: true}, false},
		{acl(31, "sasl", "any"), caller("digest", "eve:x"), all, false},
		{acl(31, "x509", "CN=bob"), caller("x509", "CN=bob"), all, true},
		{acl(31, "x509", "CN=bob"), caller("x509", "CN=bob,O=x"), all, false},
		{acl(31, "digest", "u:h"), caller("digest", "u:h"), &Rules{NoDigest: true}, false},
		{acl(0, "digest", "u:h"), Caller{}, &Rules{SkipACL: true}, true},
		{acl(0, "digest", "u:h"), Caller{}, all, false},
	} {
		c.who.Rules = c.rules
		if got := Allowed([]jute.ACL{c.acl}, jute.PermRead, c.who); got != c.want {
			t.Errorf("%+v by %+v with %+v: %v, want %v", c.acl, c.who.IDs, c.rules, got, c.want)
		}
	}
	for _, c := range []struct {
		entry jute.ACL
		rules *Rules
		want  bool
	}{
		{acl(1, "sasl", "bob"), all, true},
		{acl(1, "sasl", "zk/host@REALM"), all, true},
		{acl(1, "sasl", "a/b/c"), all, true},
		{acl(1, "sasl", "a/b/c@REALM"), all, false},
		{acl(1, "sasl", "a@b@c"), all, false},
		{acl(1, "sasl", "a@b/c"), all, false},
		{acl(1, "sasl", "bob"), nil, false},
		{acl(1, "x509", "CN=bob"), all, true},
		{acl(1, "x509", "bob"), all, false},
		{acl(1, "x509", "CN=bob"), nil, false},
		{acl(1, "digest", "u:h"), &Rules{NoDigest: true}, false},
		{acl(1, "nosuch", "u:h"), &Rules{SkipACL: true}, false},
		{acl(1, "ip", "2001:db8::/32"), nil, true},
		{acl(1, "ip", "2001:db8::/129"), nil, false},
		{acl(1, "ip", "2001:db8::/-1"), nil, false},
		{acl(1, "ip", "2001:db8::/x"), nil, false},
		{acl(1, "ip", "2001:db8"), nil, false},
	} {
		if _, got := FixACL([]jute.ACL{c.entry}, Caller{Rules: c.rules}); got != c.want {
			t.Errorf("%+v with %+v: valid %v, want %v", c.entry, c.rules, got, c.want)
		}
	}
	who := caller("ip", "127.0.0.1", "sasl", "bob", "x509", "CN=bob", "digest", "u:h", "super", "")
	who.Rules = all
	got, ok := FixACL([]jute.ACL{acl(1, "auth", "")}, who)
	if want := []jute.ACL{acl(1, "sasl", "bob"), acl(1, "x509", "CN=bob"), acl(1, "digest", "u:h")}; !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("auth stands for %v, want %v", got, want)
	}
}

func TestFixACL(t *testing.T) {
	who := caller("ip", "127.0.0.1", "digest", "u:h", "digest", "v:i")
	for _, c := range []struct {
		in, want []jute.ACL
	}{
		{nil, nil},
		{[]jute.ACL{acl(1, "world", "anyone"), acl(1, "world", "anyone"), acl(2, "world", "anyone")}, []jute.ACL{acl(1, "world", "anyone"), acl(2, "world", "anyone")}},
		{[]jute.ACL{acl(3, "auth", "ignored")}, []jute.ACL{acl(3, "digest", "u:h"), acl(3, "digest", "v:i")}},
		{[]jute.ACL{acl(3, "world", "somebody")}, nil},
		{[]jute.ACL{acl(3, "digest", "nocolon")}, nil},
		{[]jute.ACL{acl(3, "digest", "a:b:c")}, nil},
		{[]jute.ACL{acl(3, "digest", "a:b")}, []jute.ACL{acl(3, "digest", "a:b")}},
		{[]jute.ACL{acl(3, "ip", "1.2.3.4/31")}, []jute.ACL{acl(3, "ip", "1.2.3.4/31")}},
		{[]jute.ACL{acl(3, "ip", "1.2.3.4/-1")}, nil},
		{[]jute.ACL{acl(3, "ip", "1.2.3.4.5")}, nil},
		{[]jute.ACL{acl(3, "nosuch", "x")}, nil},
		{[]jute.ACL{acl(3, "world", "anyone"), acl(3, "nosuch", "x")}, nil},
	} {
		got, ok := FixACL(c.in, who)
		if ok != (c.want != nil) || ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v became %+v, %v; want %+v", c.in, got, ok, c.want)
		}
	}
	if _, ok := FixACL([]jute.ACL{acl(3, "auth", "")}, caller("ip", "127.0.0.1")); ok {
		t.Error("an address is no authentication")
	}
}

func TestPermissionsOfReads(t *testing.T) {
	tr := New()
	secret := []jute.ACL{acl(jute.PermRead, "digest", "reader:hash"), acl(jute.PermAdmin, "digest", "admin:hash")}
	mustApply(t, tr, txn(1, jute.OpCreate, &jute.CreateTxn{Path: "/s", ACL: secret, ParentCVersion: 1}))
	reader, admin, other := caller("digest", "reader:hash"), caller("digest", "admin:hash"), caller("digest", "x:y")
	w := &storyWatcher{name: "w"}
	for _, c := range []struct {
		who       Caller
		read, acl error
	}{
		{reader, nil, nil},
		{admin, jute.CodeNoAuth, nil},
		{other, jute.CodeNoAuth, jute.CodeNoAuth},
		{Caller{Super: true}, nil, nil},
	} {
		_, _, data := tr.GetData("/s", c.who, nil)
		_, children := tr.Children("/s", c.who, nil)
		_, number := tr.AllChildrenNumber("/s", c.who)
		_, _, acl := tr.GetACL("/s", c.who)
		if data != c.read || children != c.read || number != c.read || acl != c.acl {
			t.Errorf("%+v: data %v, children %v, number %v, ACL %v", c.who, data, children, number, acl)
		}
	}
	if _, _, err := tr.GetData("/s", other, w); err != jute.CodeNoAuth {
		t.Error(err)
	}
	if data, _ := tr.WatchSummaries(); data.Watches != 0 {
		t.Error("a refused read set a watch")
	}
	if _, err := tr.Exists("/s", other, nil); err != nil {
		t.Errorf("exists needs no permission, but gives %v", err)
	}
	if _, err := tr.Exists("/s\x00", other, w); err != jute.CodeBadArguments {
		t.Errorf("exists of a path with a null character gives %v", err)
	}
	masked, _, _ := tr.GetACL("/s", reader)
	if masked[0].ID.ID != "reader:x" || masked[1].ID.ID != "admin:x" {
		t.Errorf("a reader sees %+v", masked)
	}
	if full, _, _ := tr.GetACL("/s", admin); full[0].ID.ID != "reader:hash" {
		t.Errorf("an admin sees %+v", full)
	}
}
