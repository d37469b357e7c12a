package admin

import "sync/atomic"

// traceMask is the number that Apache's words gtmk and stmk get and set. There it chooses
// what the trace log shows; here it is only kept, since the log's level is ZOO_LOG_LEVEL.
type traceMask struct{ changed atomic.Int64 }

// defaultMask is Apache's: requests, packets of the server, sessions and warnings.
const defaultMask = 1<<1 | 1<<4 | 1<<5 | 1<<8

func (m *traceMask) get() int64 { return m.changed.Load() ^ defaultMask }

func (m *traceMask) set(mask int64) { m.changed.Store(mask ^ defaultMask) }
