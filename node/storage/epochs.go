package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
)

const (
	acceptedEpochName = "acceptedEpoch"
	currentEpochName  = "currentEpoch"
	// temporarySuffix is Apache's; a file of that name is never read.
	temporarySuffix = ".tmp"
)

// epochCache is what the epoch files hold. Invariant: 0 <= current <= accepted, and
// current is not below the epoch of the last transaction found by Load.
type epochCache struct {
	known             bool
	accepted, current int64
}

// Epochs returns the epochs on disk. It must be called after Load, and repairs
// what a crash or a move from older data leaves:
//
// A missing file, or a currentEpoch below that of the last transaction, is set to
// that transaction's epoch. The latter is where a crash between making the leader's
// history durable and writing currentEpoch leaves a learner; the history is then a
// part of that epoch's, so to claim the epoch is true. An acceptedEpoch below
// currentEpoch is raised to it: a promise may grow, never shrink.
func (s *Storage) Epochs() (accepted, current int64, err error) {
	if err := s.usable(); err != nil {
		return 0, 0, err
	}
	if s.epochs.known {
		return s.epochs.accepted, s.epochs.current, nil
	}
	current, haveCurrent, err := s.readEpoch(currentEpochName)
	if err != nil {
		return 0, 0, err
	}
	accepted, haveAccepted, err := s.readEpoch(acceptedEpochName)
	if err != nil {
		return 0, 0, err
	}
	wantCurrent := max(current, epochOf(s.lastZxid))
	wantAccepted := max(accepted, wantCurrent)
	if haveCurrent && wantCurrent != current || haveAccepted && wantAccepted != accepted {
		s.log.Warn("raising the epochs, which a crash left behind the log", "currentEpoch", current,
			"acceptedEpoch", accepted, "newCurrentEpoch", wantCurrent, "newAcceptedEpoch", wantAccepted)
	}
	// In this order, current is at no moment above accepted.
	if !haveAccepted || wantAccepted != accepted {
		if err := s.writeEpoch(acceptedEpochName, wantAccepted); err != nil {
			return 0, 0, err
		}
	}
	if !haveCurrent || wantCurrent != current {
		if err := s.writeEpoch(currentEpochName, wantCurrent); err != nil {
			return 0, 0, err
		}
	}
	s.epochs = epochCache{known: true, accepted: wantAccepted, current: wantCurrent}
	return wantAccepted, wantCurrent, nil
}

// disclaimEpoch is for a start without any data. A currentEpoch claims that this member
// has the history of that epoch's leader, and it would win elections with that: against
// members that have all there is, if they were not in that epoch. So the claim goes with
// the data. What was promised in acceptedEpoch stays.
func (s *Storage) disclaimEpoch() error {
	current, _, err := s.readEpoch(currentEpochName)
	if err != nil || current == 0 {
		return err
	}
	s.log.Warn("the data of this member is gone: it had followed a leader, as currentEpoch says, but there is neither "+
		"a snapshot nor a log. It starts empty and takes a copy from the others. If there are no others, or they lost "+
		"theirs too, stop all and restore a backup", "directory", s.snapDir, "logDirectory", s.logDir, "currentEpoch", current)
	return s.writeEpoch(currentEpochName, 0)
}

// SetAcceptedEpoch makes an accepted epoch durable: the promise to follow no leader
// of an older one. It never goes down.
func (s *Storage) SetAcceptedEpoch(epoch int64) error {
	if _, _, err := s.Epochs(); err != nil {
		return err
	}
	if epoch < s.epochs.accepted {
		return s.fail("write acceptedEpoch", fmt.Errorf("epoch %d is below %d", epoch, s.epochs.accepted))
	}
	if epoch == s.epochs.accepted {
		return nil
	}
	if err := s.writeEpoch(acceptedEpochName, epoch); err != nil {
		return err
	}
	s.epochs.accepted = epoch
	return nil
}

// SetCurrentEpoch makes a current epoch durable: the history in the log is that of
// the epoch's leader. What was appended is therefore synced first.
func (s *Storage) SetCurrentEpoch(epoch int64) error {
	if err := s.Sync(); err != nil {
		return err
	}
	if _, _, err := s.Epochs(); err != nil {
		return err
	}
	if epoch < s.epochs.current || epoch > s.epochs.accepted {
		return s.fail("write currentEpoch",
			fmt.Errorf("epoch %d is not between the current one, %d, and the accepted one, %d", epoch, s.epochs.current, s.epochs.accepted))
	}
	if epoch == s.epochs.current {
		return nil
	}
	if err := s.writeEpoch(currentEpochName, epoch); err != nil {
		return err
	}
	s.epochs.current = epoch
	return nil
}

func (s *Storage) readEpoch(name string) (epoch int64, found bool, err error) {
	name = path.Join(s.snapDir, name)
	file, err := s.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read an epoch: %w", err)
	}
	defer file.Close()
	const longestBytes = 32
	text, err := io.ReadAll(io.LimitReader(file, longestBytes))
	if err != nil {
		return 0, false, fmt.Errorf("read the epoch %s: %w", name, err)
	}
	// A newline is what an editor may have added.
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	epoch, err = strconv.ParseInt(string(text), 10, 64)
	if err != nil || epoch < 0 {
		return 0, false, fmt.Errorf("%s holds %q, at offset 0, instead of an epoch; "+
			"copy no file from elsewhere, but remove the data of this member so that it is sent a new copy: %w", name, text, ErrCorrupt)
	}
	return epoch, true, nil
}

// writeEpoch replaces an epoch file: a crash leaves the old or the new one, whole.
func (s *Storage) writeEpoch(name string, epoch int64) error {
	final := path.Join(s.snapDir, name)
	temporary := final + temporarySuffix
	file, err := s.fs.Create(temporary)
	if err != nil {
		return s.fail("write "+final, err)
	}
	_, err = file.Write(strconv.AppendInt(nil, epoch, 10))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return s.fail("write "+final, err)
	}
	if err := s.fs.Rename(temporary, final); err != nil {
		return s.fail("write "+final, err)
	}
	if err := s.fs.SyncDir(s.snapDir); err != nil {
		return s.fail("write "+final, err)
	}
	return nil
}
