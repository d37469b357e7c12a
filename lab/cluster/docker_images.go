package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
)

// labelImage says what a built image is for: "node" or "sidecar".
const labelImage = "zoolab.image"

// oldImageAge keeps a sweep from removing the image that another lab has just
// built and not yet started.
const oldImageAge = 10 * time.Minute

// clusterImages are the images of one run.
type clusterImages struct {
	sidecar string
	node    string
	nodeID  string
	second  string // what the fault upgrade changes to, if anything
}

// ensureImages finds or builds the images of a run. Built images are tagged
// with a hash of all that goes into them, so labs with different binaries don't
// disturb each other, and an unchanged binary builds nothing.
func (d *dockerCluster) ensureImages(ctx context.Context) (clusterImages, error) {
	m := d.topo.members[0]
	var out clusterImages
	var err error
	if out.sidecar, err = d.ensureBuilt(ctx, "sidecar", m.sidecar, ""); err != nil {
		return out, err
	}
	if out.node = d.opts.Image; out.node != "" {
		err = d.ensurePulled(ctx, out.node)
	} else if d.opts.Binary == "" {
		err = errors.New("cluster: no image and no server binary given")
	} else {
		out.node, err = d.ensureBuilt(ctx, "node", m.node, d.opts.Binary)
	}
	if err != nil {
		return out, err
	}
	if out.second = d.opts.Image2; out.second != "" {
		err = d.ensurePulled(ctx, out.second)
	} else if d.opts.Binary2 != "" {
		out.second, err = d.ensureBuilt(ctx, "node", m.node, d.opts.Binary2)
	}
	if err != nil {
		return out, err
	}
	inspect, err := d.cli.ImageInspect(ctx, out.node)
	if err != nil {
		return out, fmt.Errorf("cluster: image %s: %w", out.node, err)
	}
	out.nodeID = inspect.ID
	return out, nil
}

func (d *dockerCluster) ensurePulled(ctx context.Context, name string) error {
	_, err := d.cli.ImageInspect(ctx, name)
	if err == nil {
		return nil
	}
	if !errdefs.IsNotFound(err) {
		return fmt.Errorf("cluster: image %s: %w", name, err)
	}
	d.opts.Notice("pulling the image %s, which the engine does not have", name)
	progress, err := d.cli.ImagePull(ctx, name, image.PullOptions{})
	if err != nil {
		return fmt.Errorf("cluster: image %s is not on the engine and can't be pulled: %w", name, err)
	}
	defer progress.Close()
	return readProgress(progress)
}

// ensureBuilt returns the tag of the image built from a service's Dockerfile
// and, for a node, a binary.
func (d *dockerCluster) ensureBuilt(ctx context.Context, kind string, s composeService, binary string) (string, error) {
	contextDir := filepath.Join(d.topo.dir, s.Build.Context)
	dockerfile, err := os.ReadFile(filepath.Join(contextDir, s.Build.Dockerfile))
	if err != nil {
		return "", fmt.Errorf("cluster: Dockerfile of the %s image: %w", kind, err)
	}
	var program []byte
	if binary != "" {
		if program, err = os.ReadFile(binary); err != nil {
			return "", fmt.Errorf("cluster: server binary: %w", err)
		}
	}
	hash := sha256.New()
	hash.Write(dockerfile)
	hash.Write(program)
	repository, _, _ := strings.Cut(s.Image, ":")
	tag := repository + ":" + hex.EncodeToString(hash.Sum(nil))[:12]
	if _, err := d.cli.ImageInspect(ctx, tag); err == nil {
		return tag, nil
	} else if !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("cluster: image %s: %w", tag, err)
	}
	d.opts.Logger.Info("building image", "image", tag)
	if err := d.ensureBase(ctx, string(dockerfile), contextDir); err != nil {
		return "", err
	}
	archive, err := buildContext(dockerfile, program)
	if err != nil {
		return "", fmt.Errorf("cluster: build %s: %w", tag, err)
	}
	response, err := d.cli.ImageBuild(ctx, archive, build.ImageBuildOptions{
		Tags: []string{tag}, Labels: map[string]string{labelImage: kind}, Remove: true, ForceRemove: true,
	})
	if err != nil {
		return "", fmt.Errorf("cluster: build %s: %w", tag, err)
	}
	defer response.Body.Close()
	if err := readProgress(response.Body); err != nil {
		return "", fmt.Errorf("cluster: build %s: %w", tag, err)
	}
	return tag, nil
}

var fromPattern = regexp.MustCompile(`(?m)^FROM\s+(\S+)`)

// ensureBase makes the base image of a Dockerfile available: base.sh beside it
// pulls it, or makes it without a registry.
func (d *dockerCluster) ensureBase(ctx context.Context, dockerfile, contextDir string) error {
	match := fromPattern.FindStringSubmatch(dockerfile)
	if match == nil {
		return errors.New("cluster: the Dockerfile has no FROM line")
	}
	base := match[1]
	if base == "scratch" {
		return nil
	}
	if _, err := d.cli.ImageInspect(ctx, base); err == nil {
		return nil
	}
	d.opts.Notice("making the base image %s, which the engine does not have: about half a minute, once", base)
	script, err := filepath.Abs(filepath.Join(contextDir, "base.sh"))
	if err != nil {
		return fmt.Errorf("cluster: base image: %w", err)
	}
	command := exec.CommandContext(ctx, script)
	command.Env = append(os.Environ(), "BASE_IMAGE="+base)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("cluster: base image %s: %s: %w\n%s", base, script, err, output)
	}
	return nil
}

// buildContext is what the Dockerfiles may copy: the binary as "node", and an
// empty directory "data".
func buildContext(dockerfile, program []byte) (io.Reader, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	entries := []struct {
		header tar.Header
		body   []byte
	}{
		{tar.Header{Name: "Dockerfile", Mode: 0o644}, dockerfile},
		{tar.Header{Name: "data/", Mode: 0o755, Typeflag: tar.TypeDir}, nil},
		{tar.Header{Name: "node", Mode: 0o755}, program},
	}
	for _, entry := range entries {
		entry.header.Size = int64(len(entry.body))
		if err := w.WriteHeader(&entry.header); err != nil {
			return nil, err
		}
		if _, err := w.Write(entry.body); err != nil {
			return nil, err
		}
	}
	return &out, w.Close()
}

// readProgress reads the engine's messages to the end and returns the error
// among them, with the last lines before it.
func readProgress(r io.Reader) error {
	dec := json.NewDecoder(r)
	var last []string
	for {
		var message struct {
			Stream string `json:"stream"`
			Error  string `json:"error"`
		}
		switch err := dec.Decode(&message); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("engine's answer: %w", err)
		}
		if message.Error != "" {
			return fmt.Errorf("%s\n%s", message.Error, strings.Join(last, ""))
		}
		if message.Stream != "" {
			last = append(last, message.Stream)
			last = last[max(0, len(last)-15):]
		}
	}
}

var buildTagPattern = regexp.MustCompile(`:[0-9a-f]{12}$`)

// onlyBuildTags reports whether all tags were given by ensureBuilt.
func onlyBuildTags(tags []string) bool {
	for _, tag := range tags {
		if !buildTagPattern.MatchString(tag) {
			return false
		}
	}
	return true
}
