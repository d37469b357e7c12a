package recipes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"zoolab/zk"
)

// journal carries out a multi exactly once, whatever becomes of the connection. Each
// multi also writes its number to an ephemeral marker znode of the journal's own,
// conditional on the marker's version. When an answer was lost, the marker tells
// whether the multi happened; and if it is still to happen, its repetition and it
// exclude each other.
type journal struct {
	c   *zk.Client
	dir string
	// mode is that of dir, should it be missing.
	mode zk.Mode

	mu      sync.Mutex
	path    string // of the marker; empty before it is made
	version int32  // of the marker, unless doubtful is set
	number  int64  // of the newest multi
	// doubtful says that a multi was given up whose outcome is unknown.
	doubtful bool
}

// markerPrefix begins the markers' names.
const markerPrefix = "change-"

func newJournal(c *zk.Client, dir string, mode zk.Mode) *journal {
	return &journal{c: c, dir: dir, mode: mode}
}

// commit carries out the parts. results is nil if it is known that they took effect,
// but the answer was lost.
func (j *journal) commit(ctx context.Context, ops ...zk.Op) (results []zk.OpResult, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	j.number++
	number := strconv.AppendInt(nil, j.number, 10)
	for {
		// The marker stands first: after an attempt that has happened, it is what is
		// refused, and not what the attempt itself has changed.
		reply, err := j.c.Multi(ctx, append([]zk.Op{zk.SetOp(j.path, number, j.version)}, ops...)...)
		if err == nil {
			j.version++
			return reply.Results[1:], nil
		}
		markerRefused := len(reply.Results) > 0 && reply.Results[0].Err != nil
		switch {
		case zk.Unknown(err):
			j.doubtful = true
		case markerRefused: // an earlier attempt, or an earlier multi, has happened after all
		case passing(err):
			pause(ctx)
		default:
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, err
		}
		newest, err := j.settle(ctx)
		if err != nil {
			return nil, &zk.OpError{Op: "multi", Path: j.dir, MayHaveHappened: true, Err: err}
		}
		if bytes.Equal(newest, number) {
			return nil, nil
		}
	}
}

// open makes the marker, and looks at its version if that is in doubt.
func (j *journal) open(ctx context.Context) error {
	if j.path == "" {
		path := j.dir + "/" + markerPrefix + newGUID()
		err := within(ctx, j.c, j.dir, j.mode, func() error {
			return retry(ctx, func() error { _, err := j.c.Create(ctx, path, nil, zk.Ephemeral); return err })
		})
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err // if the marker was made all the same, it ends with the session
		}
		j.path = path
	}
	if !j.doubtful {
		return nil
	}
	_, err := j.settle(ctx)
	return err
}

// create makes a znode whose name begins with a GUID, and returns its path.
func (j *journal) create(ctx context.Context, guid, rest string, data []byte, mode zk.Mode) (string, error) {
	results, err := j.commit(ctx, zk.CreateOp(j.dir+"/"+guid+rest, data, mode))
	if err != nil {
		return "", err
	}
	if results != nil {
		return results[0].Path, nil
	}
	path, err := find(ctx, j.c, j.dir, guid)
	if err == nil && path == "" {
		err = ErrLost // somebody has deleted it
	}
	return path, err
}

// disown deletes in the background what a GUID names, until it is gone or the session
// has ended: a contender that has given up must not stand in the others' way. The
// empty multi makes sure that a create that was given up does not happen later.
func (j *journal) disown(guid string) {
	go func() {
		ctx := context.Background() // the session's end ends all calls
		for j.c.Err() == nil {
			_, err := j.commit(ctx)
			var path string
			if err == nil {
				path, err = find(ctx, j.c, j.dir, guid)
			}
			if err == nil && path == "" {
				return
			}
			if err == nil {
				err = remove(ctx, j.c, path)
			}
			if err != nil && !passing(err) {
				return // neither it nor the marker can be there
			}
		}
	}()
}

// settle reads the marker, and returns the number of the newest multi that happened.
func (j *journal) settle(ctx context.Context) (newest []byte, err error) {
	err = retry(ctx, func() error {
		if _, err := j.c.Sync(ctx, j.path); err != nil {
			return err
		}
		marker, err := j.c.Get(ctx, j.path)
		if errors.Is(err, zk.ErrNoNode) {
			return fmt.Errorf("%s: %w", j.path, ErrLost)
		}
		if err != nil {
			return err
		}
		j.version, j.doubtful, newest = marker.Stat.Version, false, marker.Data
		return nil
	})
	return newest, err
}
