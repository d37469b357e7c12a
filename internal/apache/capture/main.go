// Command capture runs Apache ZooKeeper 3.8.0 behind recording proxies and
// writes the golden bytes of zk/jute/testdata: transcripts of the client, quorum
// and election ports, and the files of a data directory.
//
//	go run ./internal/apache/capture [-out zk/jute/testdata]
//
// It needs Debian's zookeeper package and a JDK, takes about a minute, and is
// run by hand when a capture is to be widened: the tests only read the files.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zoolab/internal/apache"
)

func main() {
	out := flag.String("out", filepath.Join("zk", "jute", "testdata"), "`directory` to write to")
	keep := flag.Bool("keep", false, "keep the working directory with the servers' logs")
	flag.Parse()
	if err := run(*out, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "capture:", err)
		os.Exit(1)
	}
}

func run(out string, keep bool) error {
	if err := apache.Available(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "capture-")
	if err != nil {
		return err
	}
	if keep {
		fmt.Fprintln(os.Stderr, "working in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	if err := os.MkdirAll(filepath.Join(out, "disk"), 0o755); err != nil {
		return err
	}
	if err := captureStandalone(ctx, dir, out); err != nil {
		return fmt.Errorf("standalone server: %w", err)
	}
	if err := captureEnsemble(ctx, dir, out); err != nil {
		return fmt.Errorf("ensemble: %w", err)
	}
	if err := captureReconfig(ctx, dir, out); err != nil {
		return fmt.Errorf("reconfiguration: %w", err)
	}
	return nil
}

// captureStandalone writes client.txt and the standalone server's files.
func captureStandalone(ctx context.Context, dir, out string) error {
	text, server, err := captureClient(ctx, dir)
	if server != nil {
		defer server.Kill()
	}
	if err != nil {
		return err
	}
	if err := text.save(filepath.Join(out, "client.txt")); err != nil {
		return err
	}
	return captureDisk(ctx, server, filepath.Join(out, "disk"))
}
