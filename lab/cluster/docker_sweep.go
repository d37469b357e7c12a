package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Stop implements Cluster.
func (d *dockerCluster) Stop(ctx context.Context) error {
	if d.netfilter != nil {
		d.closeDelays()
	}
	d.closeShells()
	_, err := removeAll(ctx, d.cli, func(labels map[string]string) bool { return labels[labelRun] == d.opts.Run })
	if err == nil {
		_, err = removeLocal(ctx, d.opts.Run) // the disks
	}
	if err != nil {
		return fmt.Errorf("cluster: stop run %s: %w", d.opts.Run, err)
	}
	return nil
}

// sweepDocker removes what the runs of ended labs left on the engine, or with
// force what any run made.
func sweepDocker(ctx context.Context, logger *slog.Logger, force bool) (int, error) {
	cli, _, err := connectEngine(ctx)
	if err != nil {
		return 0, err
	}
	defer cli.Close()
	removed, err := removeAll(ctx, cli, func(labels map[string]string) bool {
		return labels[labelRun] != "" && (force || !ownerAlive(labels[labelOwner]))
	})
	if err != nil {
		return removed, fmt.Errorf("cluster: sweep: %w", err)
	}
	logger.Debug("swept the engine", "removed", removed)
	return removed, nil
}

// sweepImages removes old node images.
func sweepImages(ctx context.Context, logger *slog.Logger) (int, error) {
	cli, _, err := connectEngine(ctx)
	if err != nil {
		return 0, err
	}
	defer cli.Close()
	images, err := removeOldImages(ctx, cli)
	if err != nil {
		return images, fmt.Errorf("cluster: sweep images: %w", err)
	}
	logger.Debug("swept the engine's images", "removed", images)
	return images, nil
}

// Rounds of removal. The engine refuses to remove what is being removed, and a
// network that a container is about to leave.
const (
	removeRounds = 10
	removePause  = 200 * time.Millisecond
)

// removeAll removes what is chosen until a round finds nothing more.
func removeAll(ctx context.Context, cli *client.Client, chosen func(map[string]string) bool) (int, error) {
	total := 0
	var lastErr error
	for range removeRounds {
		removed, err := removeLabelled(ctx, cli, chosen)
		total += removed
		if err == nil && removed == 0 {
			return total, nil
		}
		lastErr = err
		select {
		case <-ctx.Done():
			return total, errors.Join(ctx.Err(), lastErr)
		case <-time.After(removePause):
		}
	}
	return total, fmt.Errorf("things of the run are left after %d rounds of removal (%w)", removeRounds, lastErr)
}

// removeLabelled removes the containers, then the networks and volumes, whose
// labels are chosen. What is gone already is no error.
func removeLabelled(ctx context.Context, cli *client.Client, chosen func(map[string]string) bool) (int, error) {
	filter := filters.NewArgs(filters.Arg("label", labelRun))
	var jobs []func() error
	containers, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filter})
	if err != nil {
		return 0, err
	}
	for _, c := range containers {
		if chosen(c.Labels) {
			jobs = append(jobs, func() error {
				return cli.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
			})
		}
	}
	removed := len(jobs)
	if err := parallel(jobs); err != nil {
		return 0, err
	}
	jobs = nil
	networks, err := cli.NetworkList(ctx, network.ListOptions{Filters: filter})
	if err != nil {
		return removed, err
	}
	for _, n := range networks {
		if chosen(n.Labels) {
			jobs = append(jobs, func() error { return cli.NetworkRemove(ctx, n.ID) })
		}
	}
	volumes, err := cli.VolumeList(ctx, volume.ListOptions{Filters: filter})
	if err != nil {
		return removed, err
	}
	for _, v := range volumes.Volumes {
		if chosen(v.Labels) {
			jobs = append(jobs, func() error { return cli.VolumeRemove(ctx, v.Name, true) })
		}
	}
	return removed + len(jobs), parallel(jobs)
}

// parallel runs removals at the same time.
func parallel(jobs []func() error) error {
	errs := make([]error, len(jobs))
	var wg sync.WaitGroup
	for i, job := range jobs {
		wg.Go(func() {
			if err := job(); err != nil && !errdefs.IsNotFound(err) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// removeOldImages removes the node images of earlier builds, but not one that
// a container uses or that a person has given a tag.
func removeOldImages(ctx context.Context, cli *client.Client) (int, error) {
	images, err := cli.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelImage+"=node"))})
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, img := range images {
		if !onlyBuildTags(img.RepoTags) || time.Since(time.Unix(img.Created, 0)) < oldImageAge {
			continue
		}
		_, err := cli.ImageRemove(ctx, img.ID, image.RemoveOptions{Force: len(img.RepoTags) > 1, PruneChildren: true})
		switch {
		case err == nil:
			removed++
		case errdefs.IsNotFound(err) || errdefs.IsConflict(err):
		default:
			return removed, err
		}
	}
	return removed, nil
}
