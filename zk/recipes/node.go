package recipes

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"zoolab/zk"
)

// retryPause keeps a client that fails fast, or is refused for overload, from spinning.
const retryPause = 50 * time.Millisecond

// passing reports whether an error is one of the connection or of a moment's overload,
// after which the same may be asked again.
func passing(err error) bool {
	for _, target := range []error{zk.ErrConnectionLoss, zk.ErrDisconnected, zk.ErrRequestTimeout,
		zk.ErrOperationTimeout, zk.ErrSessionMoved, zk.ErrThrottled} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// retry asks again while the error is a passing one and ctx lives. It suits reads, and
// changes that may happen twice.
func retry(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		pause(ctx)
	}
}

func pause(ctx context.Context) {
	select {
	case <-time.After(retryPause):
	case <-ctx.Done():
	}
}

// newGUID names a znode so that its maker finds it again when the answer was lost.
func newGUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// makeDir makes a recipe's znode, of the mode, and its parents.
func makeDir(ctx context.Context, c *zk.Client, path string, leaf zk.Mode) error {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		mode := zk.Persistent
		if i == len(path) {
			mode = leaf
		}
		err := retry(ctx, func() error {
			_, err := c.Create(ctx, path[:i], nil, mode)
			if errors.Is(err, zk.ErrUnimplemented) {
				_, err = c.Create(ctx, path[:i], nil, zk.Persistent)
			}
			return err
		})
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return nil
}

// within carries out what needs the recipe's znode, which it makes if it is missing:
// servers may delete an empty container at any time.
func within(ctx context.Context, c *zk.Client, dir string, mode zk.Mode, ask func() error) error {
	const attempts = 10
	var err error
	for range attempts {
		if err = ask(); !errors.Is(err, zk.ErrNoNode) {
			return err
		}
		if err := makeDir(ctx, c, dir, mode); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s is deleted again and again: %w", dir, err)
}

// find returns the path of the znode whose name begins with the GUID, "" for none.
func find(ctx context.Context, c *zk.Client, dir, guid string) (string, error) {
	var children zk.ChildrenReply
	err := retry(ctx, func() (err error) {
		if _, err = c.Sync(ctx, dir); err == nil {
			children, err = c.Children(ctx, dir)
		}
		return err
	})
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		return "", err
	}
	for _, name := range children.Children {
		if strings.HasPrefix(name, guid) {
			return dir + "/" + name, nil
		}
	}
	return "", nil
}

// remove deletes a znode; that it is gone already is success.
func remove(ctx context.Context, c *zk.Client, path string) error {
	err := retry(ctx, func() error {
		_, err := c.Delete(ctx, path, zk.AnyVersion)
		return err
	})
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// awaitGone returns when the znode does not exist. It reads the znode, since a read of
// what is missing leaves no watch behind.
func awaitGone(ctx context.Context, c *zk.Client, path string) error {
	for {
		var events <-chan zk.Event
		err := retry(ctx, func() (err error) { _, events, err = c.GetW(ctx, path); return err })
		if errors.Is(err, zk.ErrNoNode) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := awaitEvent(ctx, c, path, events); err != nil {
			return err
		}
	}
}

// awaitEvent waits for a one-shot watch, and takes it back when ctx ends first.
func awaitEvent(ctx context.Context, c *zk.Client, path string, events <-chan zk.Event) (zk.Event, error) {
	select {
	case event := <-events:
		if event.Type == zk.EventNone {
			return event, event.Err
		}
		return event, nil
	case <-ctx.Done():
		unwatch(c, path, events)
		return zk.Event{}, ctx.Err()
	}
}

// unwatch takes back a watch that nobody waits for any more. The server's answer is
// not waited for: without one, the watch fires once for nobody.
func unwatch(c *zk.Client, path string, events <-chan zk.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	go func() {
		defer cancel()
		_, _ = c.RemoveWatch(ctx, path, events, true)
	}()
}

// parentOf returns the path above; the root is its own.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}
