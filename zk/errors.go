package zk

import (
	"errors"
	"fmt"

	"zoolab/zk/jute"
)

// The errors that servers answer with, for errors.Is.
var (
	ErrNoNode                  error = jute.CodeNoNode
	ErrNodeExists              error = jute.CodeNodeExists
	ErrBadVersion              error = jute.CodeBadVersion
	ErrNotEmpty                error = jute.CodeNotEmpty
	ErrNoAuth                  error = jute.CodeNoAuth
	ErrInvalidACL              error = jute.CodeInvalidACL
	ErrAuthFailed              error = jute.CodeAuthFailed
	ErrNoChildrenForEphemerals error = jute.CodeNoChildrenForEphemerals
	ErrSessionMoved            error = jute.CodeSessionMoved
	ErrUnimplemented           error = jute.CodeUnimplemented
	ErrQuotaExceeded           error = jute.CodeQuotaExceeded
	ErrThrottled               error = jute.CodeThrottledOp
	ErrNoWatcher               error = jute.CodeNoWatcher
	ErrNotReadOnly             error = jute.CodeNotReadOnly
	ErrEphemeralOnLocalSession error = jute.CodeEphemeralOnLocalSession
	ErrReconfigDisabled        error = jute.CodeReconfigDisabled
	ErrReconfigInProgress      error = jute.CodeReconfigInProgress
	ErrNewConfigNoQuorum       error = jute.CodeNewConfigNoQuorum
	ErrSASLRequired            error = jute.CodeSessionClosedRequireSASL
	ErrSystem                  error = jute.CodeSystemError
	ErrRuntimeInconsistency    error = jute.CodeRuntimeInconsistency
	ErrDataInconsistency       error = jute.CodeDataInconsistency
	ErrMarshalling             error = jute.CodeMarshallingError
	ErrOperationTimeout        error = jute.CodeOperationTimeout
	ErrUnknownSession          error = jute.CodeUnknownSession
	ErrAPI                     error = jute.CodeAPIError
	ErrInvalidCallback         error = jute.CodeInvalidCallback
)

// The errors of the client itself. ErrBadArguments may come from both sides.
var (
	// ErrBadArguments marks what can't be asked, such as a path without a slash.
	ErrBadArguments error = jute.CodeBadArguments
	// ErrSessionExpired says that a server has ended the session. It is final.
	ErrSessionExpired error = jute.CodeSessionExpired
	// ErrConnectionLoss says that the connection broke before an answer came.
	ErrConnectionLoss error = jute.CodeConnectionLoss
	// ErrRequestTimeout says that no answer came within WithRequestTimeout.
	ErrRequestTimeout error = jute.CodeRequestTimeout
	// ErrClosed says that Close or Detach was called.
	ErrClosed = errors.New("the client is closed")
	// ErrDisconnected says that there is no connection at the moment; only a
	// client with WithFailFast gives it.
	ErrDisconnected = errors.New("not connected")
	// ErrRequestTooLarge says that a request is above WithMaxRequestSize; a server
	// would have dropped the connection.
	ErrRequestTooLarge = errors.New("request too large")
	// ErrEventsLost is the Err of an event that stands for those that a persistent
	// watch has missed: its channel was full, or there was no connection. What the
	// channel watches must be read again.
	ErrEventsLost = errors.New("events were lost")
)

// errSASL marks that a server has refused the SASL authentication. It is final.
var errSASL = fmt.Errorf("SASL: %w", ErrAuthFailed)

// OpError is the error of a call.
type OpError struct {
	Op   string // the operation as ZooKeeper's documentation names it: "setData"
	Path string // the path that was asked for, without the chroot; may be empty
	Err  error  // the cause, for errors.Is
	// Zxid is the zxid of the reply's header; 0 when there was no reply.
	Zxid int64
	// MayHaveHappened says that the change may have taken effect, or may still.
	MayHaveHappened bool
}

// Error says what failed, why, and whether it may have happened all the same.
func (e *OpError) Error() string {
	text := e.Op
	if e.Path != "" {
		text += " " + e.Path
	}
	text += ": " + e.Err.Error()
	if e.MayHaveHappened {
		text += " (it may have taken effect)"
	}
	return text
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// Unknown reports whether err is that of a change that may have happened. It is
// false for nil.
func Unknown(err error) bool {
	var op *OpError
	return errors.As(err, &op) && op.MayHaveHappened
}

// Definite reports whether err says that the operation certainly did not happen. It
// is false for nil and for errors that are not of this package's calls.
func Definite(err error) bool {
	var op *OpError
	return errors.As(err, &op) && !op.MayHaveHappened
}

// Refusal reports whether a server that answers with the code has certainly not
// carried out the request. The codes that are missing here can follow a change that
// was made, such as an answer that could not be written.
func Refusal(code jute.ErrorCode) bool {
	switch code {
	case jute.CodeNoNode, jute.CodeNoAuth, jute.CodeBadVersion, jute.CodeNoChildrenForEphemerals,
		jute.CodeNodeExists, jute.CodeNotEmpty, jute.CodeSessionExpired, jute.CodeInvalidACL,
		jute.CodeAuthFailed, jute.CodeSessionMoved, jute.CodeNotReadOnly, jute.CodeBadArguments,
		jute.CodeEphemeralOnLocalSession, jute.CodeNoWatcher, jute.CodeReconfigDisabled,
		jute.CodeSessionClosedRequireSASL, jute.CodeQuotaExceeded, jute.CodeThrottledOp,
		jute.CodeUnimplemented, jute.CodeReconfigInProgress, jute.CodeNewConfigNoQuorum:
		return true
	}
	return false
}

// lost wraps the reason why a connection ended.
func lost(cause error) error {
	if cause == nil || errors.Is(cause, ErrConnectionLoss) {
		return ErrConnectionLoss
	}
	return fmt.Errorf("%w: %w", ErrConnectionLoss, cause)
}
