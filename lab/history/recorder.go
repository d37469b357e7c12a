package history

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"zoolab/workloads"
)

// Recorder collects a history. It is safe for concurrent use.
type Recorder struct {
	now   func() time.Time
	start time.Time

	mu       sync.Mutex       // guards what follows
	file     *os.File         // nil for none
	buffer   []byte           // lines that are not in the file yet
	flushing bool             // a timer will write them
	chunks   [][]workloads.Op // all of chunkLength but the last
	count    int              // of operations
	ops      []workloads.Op   // all, once closed
	err      error            // the first failure to write the file
	closed   bool
}

const (
	// flushInterval bounds what a lab that is killed may leave out of its history.
	flushInterval = 200 * time.Millisecond
	// flushBytes bounds the buffer: above it, lines are written at once.
	flushBytes = 1 << 16
	// chunkLength is how many operations are kept together: one long list would be copied
	// again and again while it grows, and all clients would wait for it.
	chunkLength = 1 << 10
)

// NewRecorder starts a run by a clock and creates the file at path; with an empty path the
// history is kept in memory only.
func NewRecorder(path string, now func() time.Time) (*Recorder, error) {
	if path == "" {
		return &Recorder{now: now, start: now()}, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create the history: %w", err)
	}
	return &Recorder{now: now, start: now(), file: file}, nil
}

// Start is the moment that times of the history count from.
func (r *Recorder) Start() time.Time { return r.start }

// NowNs is the time since the start.
func (r *Recorder) NowNs() int64 { return int64(r.now().Sub(r.start)) }

// Record appends op with the next index and the present time, and returns it
// with both filled in. It is in the file after flushInterval at most. A failure to
// write the file is kept for Close; the operation stays in memory. After Close nothing more is recorded: a straggler
// must not change a history that is being checked.
func (r *Recorder) Record(op workloads.Op) workloads.Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Index, op.TimeNs = r.count, int64(r.now().Sub(r.start))
	if r.closed {
		return op
	}
	if r.count%chunkLength == 0 {
		r.chunks = append(r.chunks, make([]workloads.Op, 0, chunkLength))
	}
	last := len(r.chunks) - 1
	r.chunks[last] = append(r.chunks[last], op)
	r.count++
	if r.file == nil {
		return op
	}
	buffer, err := appendJSON(r.buffer, op)
	if err != nil {
		r.fail(fmt.Errorf("operation %d: %w", op.Index, err))
		return op
	}
	r.buffer = buffer
	switch {
	case len(r.buffer) >= flushBytes:
		r.flush()
	case !r.flushing:
		r.flushing = true
		time.AfterFunc(flushInterval, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.flushing = false
			r.flush()
		})
	}
	return op
}

// flush writes what is buffered; the caller holds mu.
func (r *Recorder) flush() {
	if len(r.buffer) == 0 || r.closed {
		return
	}
	if _, err := r.file.Write(r.buffer); err != nil {
		r.fail(fmt.Errorf("write the history to %s: %w", r.file.Name(), err))
	}
	r.buffer = r.buffer[:0]
}

func (r *Recorder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Len is the number of operations so far.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Close ends the recording and returns the history, also when writing the file
// failed.
func (r *Recorder) Close() ([]workloads.Op, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return r.ops, r.err
	}
	r.flush()
	r.closed, r.ops, r.chunks = true, slices.Concat(r.chunks...), nil
	if r.file == nil {
		return r.ops, nil
	}
	if err := r.file.Close(); err != nil {
		r.fail(fmt.Errorf("close the history: %w", err))
	}
	return r.ops, r.err
}
