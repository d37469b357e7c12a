package apache

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// BuildNode builds this repository's server into a directory, for tests that run it beside
// Apache's. It must be called inside the module.
func BuildNode(dir string) (binary string, err error) {
	binary = filepath.Join(dir, "node")
	if out, err := exec.Command("go", "build", "-o", binary, "zoolab/node").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build zoolab/node: %w\n%s", err, out)
	}
	return binary, nil
}
