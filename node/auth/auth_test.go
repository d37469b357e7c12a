package auth

import "testing"

func TestDigest(t *testing.T) {
	// The value that ZooKeeper's administrator guide computes for super:test.
	const want = "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
	if got := Digest("super:test"); got != want {
		t.Errorf("digest of super:test is %s, want %s", got, want)
	}
}

func TestSuperUser(t *testing.T) {
	a := Authenticator{SuperDigest: Digest("super:test")}
	if id, ok := a.Authenticate("digest", []byte("super:test")); !ok || id.Scheme != "super" {
		t.Errorf("the super digest proves %v, %v", id, ok)
	}
	if id, ok := a.Authenticate("digest", []byte("super:wrong")); !ok || id.Scheme != "digest" {
		t.Errorf("another password proves %v, %v", id, ok)
	}
	if _, ok := a.Authenticate("nonsense", nil); ok {
		t.Error("an unknown scheme proves something")
	}
}
