package admin

import (
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// maxBodyBytes bounds the body of a command other than restore.
const maxBodyBytes = 64 << 10

// stream is a file to send.
type stream struct {
	file *os.File
	size int64
}

// authorize says why the caller may not run a guarded command: nil if it may. The header
// Authorization has a scheme and, behind a blank, its credentials ("digest user:password");
// the scheme ip stands alone.
func (v *View) authorize(q *http.Request) *answer {
	header := q.Header.Get("Authorization")
	if header == "" {
		a := failed(http.StatusUnauthorized, "Auth info is missing for the command")
		return &a
	}
	who, ok := v.caller(header, q.RemoteAddr)
	if !ok {
		a := failed(http.StatusUnauthorized, "Not authenticated")
		return &a
	}
	root, ok := v.Replica.Tree().Lookup("/")
	for perm := int32(1); ok && perm <= allPerms; perm <<= 1 {
		ok = v.Config.Auth.SkipACL || tree.Allowed(root.ACL, perm, who)
	}
	if !ok {
		a := failed(http.StatusForbidden, "Not authorized")
		return &a
	}
	return nil
}

func (v *View) caller(header, remote string) (tree.Caller, bool) {
	scheme, credentials, more := strings.Cut(header, " ")
	if strings.Contains(credentials, " ") {
		return tree.Caller{}, false
	}
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return tree.Caller{}, false
	}
	have := []jute.ID{{Scheme: "ip", ID: host}}
	var proof []byte
	if more {
		proof = []byte(credentials)
	}
	ids, ok := v.Authenticate(scheme, proof, have)
	if !ok {
		return tree.Caller{}, false
	}
	if scheme == "ip" {
		ids = have
	}
	return tree.Caller{IDs: ids}, len(ids) > 0
}

// limiter lets one caller through in each interval.
type limiter struct {
	mu   sync.Mutex
	next time.Time
}

func (l *limiter) allow(interval time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.next) {
		return false
	}
	l.next = now.Add(interval)
	return true
}

// snapshot takes a snapshot and sends it, unless streaming=false.
func (v *View) snapshot(q *request) answer {
	if !v.Config.Admin.SnapshotEnabled {
		return failed(http.StatusServiceUnavailable, "snapshot is disabled (admin.snapshot.enabled)")
	}
	if !q.server.snapshots.allow(q.server.interval) {
		return failed(http.StatusTooManyRequests, "one snapshot in %v is allowed (admin.rateLimiterIntervalInMS)", q.server.interval)
	}
	path, zxid, err := v.TakeSnapshot(q.Context())
	if err != nil {
		return failed(http.StatusInternalServerError, "no snapshot was taken: %v", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return failed(http.StatusInternalServerError, "the snapshot can't be read: %v", err)
	}
	info, err := file.Stat()
	if err != nil {
		_ = file.Close()
		return failed(http.StatusInternalServerError, "the snapshot can't be read: %v", err)
	}
	a := answer{header: http.Header{}}
	a.header.Set("last_zxid", hex(zxid))
	a.header.Set("snapshot_size", strconv.FormatInt(info.Size(), 10))
	if streaming := q.URL.Query()["streaming"]; len(streaming) > 0 && !strings.EqualFold(streaming[0], "true") {
		_ = file.Close()
		return a
	}
	a.stream = &stream{file: file, size: info.Size()}
	return a
}

// restore makes a snapshot, which is the body, the data of the whole ensemble.
func (v *View) restore(q *request) answer {
	switch {
	case !v.Config.Admin.RestoreEnabled:
		return failed(http.StatusServiceUnavailable, "restore is disabled (admin.restore.enabled)")
	case v.follows():
		return failed(http.StatusConflict, "restore on the leader, member %d: the others take its data", v.Replica.Status().Leader)
	case !q.server.restores.allow(q.server.interval):
		return failed(http.StatusTooManyRequests, "one restore in %v is allowed (admin.rateLimiterIntervalInMS)", q.server.interval)
	}
	zxid, err := v.RestoreSnapshot(q.Context(), q.Body)
	switch {
	case errors.Is(err, storage.ErrCorrupt) || errors.Is(err, tree.ErrBadSnapshot):
		return failed(http.StatusBadRequest, "the body is not a whole snapshot: %v", err)
	case err != nil:
		return failed(http.StatusInternalServerError, "the snapshot was not restored: %v", err)
	}
	return done(field{"last_zxid", hex(zxid)})
}

// shed closes a part of the connections, chosen at random. Their sessions live on.
func (v *View) shed(q *request) answer {
	percentage, problem := percentageOf(http.MaxBytesReader(nil, q.Body, maxBodyBytes))
	if problem != "" {
		return failed(http.StatusBadRequest, "%s", problem)
	}
	closed := v.Clients.Shed(func() bool { return rand.IntN(100) < percentage })
	return done(field{"connections_shed", closed}, field{"percentage_requested", percentage})
}

// percentageOf reads {"percentage": N}, or says what is wrong in Apache's words.
func percentageOf(body io.Reader) (percentage int, problem string) {
	var given map[string]any
	if err := json.NewDecoder(body).Decode(&given); errors.Is(err, io.EOF) {
		return 0, "Request body is required"
	} else if err != nil {
		return 0, "Invalid JSON or failed to read request body: " + err.Error()
	}
	value, there := given["percentage"]
	if !there {
		return 0, "Missing required field: percentage"
	}
	n, isNumber := value.(float64)
	if !isNumber || n < 0 || n > 100 {
		return 0, "Percentage must be between 0 and 100"
	}
	return int(n), ""
}
