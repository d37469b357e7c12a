package prep

import "testing"

func TestValidPath(t *testing.T) {
	for _, path := range []string{
		"/", "/a", "/a/b", "/...", "/.a", "/a.", "/a..b", "/..a", "/ ", "/\u00a0", "/\ud7ff", "/\uf900", "/\uffef", "/日本",
	} {
		if !validPath(path) {
			t.Errorf("%q should be valid", path)
		}
	}
	for _, path := range []string{
		"", "a", "a/b", "//", "/a/", "/a//b", "/.", "/..", "/./a", "/a/../b", "/a/.", "/\x00", "/a\x01", "/\x1f", "/\x7f", "/\u0080", "/\u009f",
		"/\ue000", "/\uf8ff", "/\ufff0", "/\uffff", "/\U00010000", "/\U0001F600", "/\xff", "/\xed\xa0\x80",
	} {
		if validPath(path) {
			t.Errorf("%q should not be valid", path)
		}
	}
}
