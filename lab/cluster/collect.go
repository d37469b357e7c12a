package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// Names below a member's directory in a collection.
const (
	logName   = "node.log"
	stateName = "state.json"
	dataName  = "data"
)

// Collect implements Cluster. The data directory is read through the sidecar,
// which mounts it too and runs when the node doesn't.
func (d *dockerCluster) Collect(ctx context.Context, dir string) error {
	if d.netfilter == nil {
		return fmt.Errorf("cluster: collect: run %s was not started", d.opts.Run)
	}
	return d.each(func(m Member) error {
		target := filepath.Join(dir, m.Name)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("cluster: collect: %w", err)
		}
		return errors.Join(d.collectLog(ctx, m.Name, target), d.collectState(ctx, m.Name, target), d.collectData(ctx, m.Name, target))
	})
}

// collectLog writes the logs of all containers that a member has had, one after
// the other.
func (d *dockerCluster) collectLog(ctx context.Context, member, target string) error {
	d.mu.Lock()
	ids := slices.Clone(d.containers[member])
	d.mu.Unlock()
	file, err := os.Create(filepath.Join(target, logName))
	if err != nil {
		return fmt.Errorf("cluster: log of %s: %w", member, err)
	}
	for _, id := range ids {
		var logs io.ReadCloser
		if logs, err = d.cli.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true}); err != nil {
			break
		}
		_, err = stdcopy.StdCopy(file, file, logs)
		if err = errors.Join(err, logs.Close()); err != nil {
			break
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("cluster: log of %s: %w", member, err)
	}
	return nil
}

func (d *dockerCluster) collectState(ctx context.Context, member, target string) error {
	id, err := d.node(member)
	if err != nil {
		return err
	}
	inspect, err := d.cli.ContainerInspect(ctx, id)
	if err != nil {
		return fmt.Errorf("cluster: state of %s: %w", member, err)
	}
	return writeState(target, inspect.State)
}

// writeState writes what is known of a process, as JSON.
func writeState(target string, state any) error {
	data, err := json.MarshalIndent(state, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(target, stateName), append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("cluster: %s: %w", filepath.Join(target, stateName), err)
	}
	return nil
}

func (d *dockerCluster) collectData(ctx context.Context, member, target string) error {
	d.mu.Lock()
	sidecar := d.sidecars[member]
	d.mu.Unlock()
	archive, _, err := d.cli.CopyFromContainer(ctx, sidecar, "/data")
	if err != nil {
		return fmt.Errorf("cluster: data of %s: %w", member, err)
	}
	defer archive.Close()
	if err := extract(archive, target); err != nil {
		return fmt.Errorf("cluster: data of %s: %w", member, err)
	}
	return nil
}

// extract unpacks regular files and directories below a directory. Anything
// else, and any name that leads out of it, is an error: a member's data holds
// no such thing.
func extract(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	r := tar.NewReader(archive)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(header.Name, "/")
		switch header.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeReg:
			err = extractFile(root, name, r)
		default:
			err = fmt.Errorf("%s: file type %q is not expected", name, header.Typeflag)
		}
		if err != nil {
			return err
		}
	}
}

func extractFile(root *os.Root, name string, r io.Reader) error {
	file, err := root.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(copySparse(file, r), file.Close())
}

// copySparse copies and leaves holes where whole blocks are zero: transaction
// logs are preallocated, and most of a log may be zeros.
func copySparse(file *os.File, r io.Reader) error {
	block := make([]byte, 64<<10)
	zeros := make([]byte, len(block))
	size := int64(0)
	for {
		n, err := io.ReadFull(r, block)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := file.WriteAt(block[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return file.Truncate(size)
		case err != nil:
			return err
		}
	}
}
