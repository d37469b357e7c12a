package store

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"zoolab/lab/history"
	"zoolab/workloads"
)

// independentDir is where Jepsen's independent checker keeps what it found of each key.
const independentDir = "independent"

// WriteKeys replaces independent/KEY/ of each key that a checker found a violation of:
// results.edn with those violations alone, and history.edn with the operations on that
// key, whose values stand without it, and the nemesis's. A key that can't be the name of
// a directory is escaped as in a URL, and of a long one the end is a checksum. Keys without a violation get no directory: they
// may be many, and history.edn has them.
func (r *Run) WriteKeys(results Results, ops []workloads.Op) error {
	if err := os.RemoveAll(r.Path(independentDir)); err != nil {
		return fmt.Errorf("remove what was found of single keys: %w", err)
	}
	written := make(map[string]bool)
	for _, checker := range results.Checkers {
		for _, failure := range checker.Failures {
			if written[failure.Key] || failure.Key == "" {
				continue
			}
			written[failure.Key] = true
			own, some := operationsOn(failure.Key, ops)
			if !some {
				continue // named for something else: a session, a member
			}
			if err := r.writeKey(failure.Key, resultsOn(failure.Key, results), own); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Run) writeKey(key string, results Results, ops []workloads.Op) error {
	dir := filepath.Join(independentDir, keyName(key))
	if err := os.MkdirAll(r.Path(dir), 0o755); err != nil {
		return fmt.Errorf("what was found of key %q: %w", key, err)
	}
	if err := r.WriteFile(filepath.Join(dir, ResultsEDN), append(history.AppendEDN(nil, toEDN(results)), '\n')); err != nil {
		return err
	}
	return r.Write(filepath.Join(dir, HistoryEDN), func(w io.Writer) error { return history.WriteEDN(w, ops) })
}

// keyName makes one name of a directory of any key, another one of each, and never "." or "..".
func keyName(key string) string {
	name := url.PathEscape(key)
	if strings.Trim(name, ".") == "" {
		name = strings.ReplaceAll(name, ".", "%2E")
	}
	const longest = 200 // of the 255 bytes that file systems take
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(key)) // tells keys apart that begin alike
	return fmt.Sprintf("%s~%x", name[:longest], sum[:8])
}

func operationsOn(key string, ops []workloads.Op) (own []workloads.Op, some bool) {
	for _, op := range ops {
		switch {
		case op.Process < 0:
			own = append(own, op)
		case op.Key == key:
			op.Key, some = "", true
			own = append(own, op)
		}
	}
	return own, some
}

// resultsOn keeps the violations of one key.
func resultsOn(key string, results Results) Results {
	on := Results{Verdict: workloads.VerdictFail}
	for _, checker := range results.Checkers {
		all := checker.Failures
		checker.Failures, checker.Stats = nil, nil // figures are of all keys
		for _, failure := range all {
			if failure.Key == key {
				checker.Failures = append(checker.Failures, failure)
			}
		}
		if len(checker.Failures) == 0 {
			continue
		}
		checker.Cause = checker.Failures[0].Cause
		if on.Cause == "" {
			on.Cause = checker.Cause
		}
		on.Checkers = append(on.Checkers, checker)
	}
	return on
}
