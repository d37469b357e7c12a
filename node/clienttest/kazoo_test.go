package clienttest

import (
	"context"
	"os/exec"
	"testing"
)

// python is Debian's, whose packages include kazoo; another may come first on the PATH.
const python = "/usr/bin/python3"

// TestKazoo runs the operations and recipes of Python's client.
func TestKazoo(t *testing.T) {
	needKazoo(t)
	onEveryServer(t, "kazoo.golden", func(t *testing.T, servers string) string {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, python, "testdata/recipes.py", servers).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	})
}

func needKazoo(t *testing.T) {
	t.Helper()
	need(t, python, "python3-kazoo")
	if err := exec.Command(python, "-c", "import kazoo").Run(); err != nil {
		t.Skip("no kazoo; install it with: apt-get install python3-kazoo")
	}
}
