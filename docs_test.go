package zoolab

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHistoricalBugsNameRealTests holds docs/historical-bugs.md to the truth: every test,
// transcript and mutant that it names is there.
func TestHistoricalBugsNameRealTests(t *testing.T) {
	text, err := os.ReadFile("docs/historical-bugs.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	found := 0
	for _, name := range regexp.MustCompile("`(Test\\w+|(?:ensemble|member)/\\w+|[a-z]+(?:-[a-z]+)+)`").FindAllStringSubmatch(string(text), -1) {
		found++
		file := "lab/mutants/" + name[1] + ".patch"
		if strings.Contains(name[1], "/") {
			file = "node/zab/testdata/" + name[1]
		}
		if strings.HasPrefix(name[1], "Test") {
			if !tests[name[1]] {
				t.Errorf("no test is called %s", name[1])
			}
		} else if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if found < 40 {
		t.Errorf("only %d names were found", found)
	}
}

// testNames returns the names of all tests of this module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range function.FindAllSubmatch(text, -1) {
			names[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
