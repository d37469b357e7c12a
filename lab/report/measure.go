package report

import "slices"

// Figures are the numbers of a run that other runs are compared with.
type Figures struct {
	Operations  int     `json:"operations"` // invocations
	OK          int     `json:"ok"`
	Fail        int     `json:"fail"`
	Info        int     `json:"info"`
	OKPerSecond float64 `json:"okPerSecond"`

	// Latencies of the operations that were ok, in ns; 0 if none was.
	P50Ns int64 `json:"p50Ns"`
	P95Ns int64 `json:"p95Ns"`
	P99Ns int64 `json:"p99Ns"`
	MaxNs int64 `json:"maxNs"`

	LongestGapNs int64          `json:"longestGapNs"` // without a successful write
	Faults       []FaultFigures `json:"faults"`       // one for each label, in the order of their first
}

// FaultFigures are what the clients saw of all faults of one label.
type FaultFigures struct {
	Label     string `json:"label"`
	Count     int    `json:"count"`
	Effective int    `json:"effective"` // proved to be
	Healed    int    `json:"healed"`    // proved to be

	// Operations that ended while the faults lasted.
	DuringOK   int `json:"duringOk"`
	DuringRest int `json:"duringRest"`

	// Times to the first successful write, in ns, of the faults after which one
	// succeeded; sorted.
	AfterStartNs []int64 `json:"afterStartNs"`
	AfterHealNs  []int64 `json:"afterHealNs"`
	LongestGapNs int64   `json:"longestGapNs"` // without a successful write, of any of them
}

// Measure counts and measures a run.
func Measure(in Input) Figures { return measure(newRun(in), in) }

func measure(r *run, in Input) Figures {
	f := newFigures(r, in.Faults, in.Leaders)
	figures := Figures{
		Operations: len(r.ops), OK: f.ok, Fail: f.fail, Info: f.info, OKPerSecond: f.okPerSecond,
		P50Ns: f.p50Ns, P95Ns: f.p95Ns, P99Ns: f.p99Ns, MaxNs: f.maxNs, LongestGapNs: f.gap.lengthNs(),
	}
	writeTimes := successfulWriteTimes(r)
	place := make(map[string]int)
	for i := range in.Faults[:min(len(in.Faults), maxFaults)] {
		fault := &in.Faults[i]
		label := faultLabel(fault)
		at, known := place[label]
		if !known {
			at = len(figures.Faults)
			place[label] = at
			figures.Faults = append(figures.Faults, FaultFigures{Label: label})
		}
		figures.Faults[at].add(fault, newAvailability(r, writeTimes, fault))
	}
	for i := range figures.Faults {
		slices.Sort(figures.Faults[i].AfterStartNs)
		slices.Sort(figures.Faults[i].AfterHealNs)
	}
	return figures
}

func (f *FaultFigures) add(fault *Fault, a availability) {
	f.Count++
	if fault.Effective {
		f.Effective++
	}
	if fault.Healed {
		f.Healed++
	}
	f.DuringOK += a.duringOK
	f.DuringRest += a.duringFail + a.duringInfo
	f.LongestGapNs = max(f.LongestGapNs, a.longestGapNs)
	if a.afterStart.found {
		f.AfterStartNs = append(f.AfterStartNs, a.afterStart.tookNs)
	}
	if a.afterHeal.found {
		f.AfterHealNs = append(f.AfterHealNs, a.afterHeal.tookNs)
	}
}
