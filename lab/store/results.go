package store

import (
	"zoolab/lab/history"
	"zoolab/workloads"
)

// Results is results.json: the verdict of a run and of each checker.
type Results struct {
	Verdict  workloads.Verdict  `json:"verdict"`
	Cause    string             `json:"cause"`
	Checkers []workloads.Result `json:"checkers"`
}

// ReadResults reads results.json.
func (r *Run) ReadResults() (Results, error) {
	var results Results
	err := r.ReadJSON(ResultsFile, &results)
	return results, err
}

// WriteResults replaces results.json, and results.edn for Jepsen's tools.
func (r *Run) WriteResults(results Results) error {
	if err := r.WriteJSON(ResultsFile, results); err != nil {
		return err
	}
	return r.WriteFile(ResultsEDN, append(history.AppendEDN(nil, toEDN(results)), '\n'))
}

// valid is Jepsen's word for a verdict.
func valid(verdict workloads.Verdict) any {
	switch verdict {
	case workloads.VerdictOK:
		return true
	case workloads.VerdictFail:
		return false
	default:
		return history.Keyword("unknown")
	}
}

func toEDN(results Results) []history.Entry {
	entries := []history.Entry{{Key: "valid?", Value: valid(results.Verdict)}, {Key: "cause", Value: results.Cause}}
	for _, checker := range results.Checkers {
		value := []history.Entry{{Key: "valid?", Value: valid(checker.Verdict)}, {Key: "cause", Value: checker.Cause}}
		if len(checker.Stats) > 0 {
			value = append(value, history.Entry{Key: "stats", Value: checker.Stats})
		}
		failures := make([]any, 0, len(checker.Failures))
		for _, failure := range checker.Failures {
			ops := make([]any, 0, len(failure.Ops))
			for _, op := range failure.Ops {
				ops = append(ops, op)
			}
			failures = append(failures, []history.Entry{{Key: "key", Value: failure.Key}, {Key: "cause", Value: failure.Cause}, {Key: "ops", Value: ops}})
		}
		if len(failures) > 0 {
			value = append(value, history.Entry{Key: "failures", Value: failures})
		}
		entries = append(entries, history.Entry{Key: history.MakeKeyword(checker.Checker), Value: value})
	}
	return entries
}
