package main

import (
	"fmt"
	"slices"
	"strings"
)

// goal is what this server is to reach against Apache, or by itself.
type goal struct {
	limit    float64
	relative bool // the limit is a ratio to Apache's figure
	atLeast  bool // else at most
}

var goals = map[[2]string]goal{
	{"set256", throughput}:    {3, true, true},
	{"set1", "p50"}:           {0.5, true, false},
	{"read64", throughput}:    {2, true, true},
	{measureGap, "median"}:    {0.4, false, false},
	{measureGap, "worst"}:     {0.8, false, false},
	{measureStop, "worst"}:    {0.3, false, false},
	{measureMemory, "median"}: {0.25, true, false},
	{measureStart, "time"}:    {0.25, true, false},
}

var titles = func() map[string]string {
	all := map[string]string{
		measureMemory: "resident memory of a member",
		measureGap:    "write gap after kill -9 of the leader",
		measureStop:   "write gap after a stop of the leader",
		measureStart:  "start from the large snapshot",
		measureRejoin: "rejoin after missed writes",
	}
	for _, c := range cells {
		all[c.name] = c.title
	}
	return all
}()

// table gives a line per measured quantity: each server's median over the rounds, what this
// server's is of each other's, and the goal where there is one; and, at the end, in what this
// server is behind each other. The first word of a name is enough to tell the servers apart.
func table(figures []figure, names []string) string {
	var others []string // with which this server is compared, where it was measured
	if slices.Contains(names, nodeName) {
		others = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == nodeName })
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n%-14s", "")
	for _, name := range names {
		fmt.Fprintf(&text, " %13s", name)
	}
	for _, name := range others {
		fmt.Fprintf(&text, " %9s", "to "+shortName(name))
	}
	fmt.Fprintf(&text, "  %s\n", "goal")
	behind := map[string][]string{}
	for _, measurement := range measurementNames() {
		title := titles[measurement] + "\n"
		for _, quantity := range quantities(figures, measurement) {
			line, values := fmt.Sprintf("  %-12s", quantity), map[string]float64{}
			for _, name := range names {
				value, unit, ok := summary(figures, name, measurement, quantity)
				if !ok {
					line += fmt.Sprintf(" %13s", "-")
					continue
				}
				values[name] = value
				line += fmt.Sprintf(" %13s", format(value)+" "+unit)
			}
			for _, name := range others {
				line += fmt.Sprintf(" %9s", ratio(values, name))
				if worse(values, name, quantity) {
					behind[name] = append(behind[name], measurement+" "+quantity)
				}
			}
			line += "  " + verdict(values, goals[[2]string{measurement, quantity}])
			fmt.Fprintf(&text, "%s%s\n", title, strings.TrimRight(line, " "))
			title = ""
		}
	}
	for _, name := range others {
		if len(behind[name]) > 0 {
			fmt.Fprintf(&text, "%s is behind %s in: %s\n", nodeName, name, strings.Join(behind[name], ", "))
		}
	}
	return text.String()
}

func shortName(name string) string { return strings.Fields(name)[0] }

// worse says that this server's figure is worse than the other's by more than the figures show.
// What a client spends is no server's merit.
func worse(values map[string]float64, other, quantity string) bool {
	ours, theirs := values[nodeName], values[other]
	if ours == 0 || theirs == 0 || quantity == clientCPU || format(ours) == format(theirs) {
		return false
	}
	if quantity == throughput {
		return ours < theirs
	}
	return ours > theirs
}

// quantities lists what was recorded of a measurement, in the order of recording.
func quantities(figures []figure, measurement string) []string {
	var names []string
	for _, f := range figures {
		if f.Measurement == measurement && !slices.Contains(names, f.Quantity) {
			names = append(names, f.Quantity)
		}
	}
	return names
}

// summary is the median over the rounds; of what is called worst, the worst.
func summary(figures []figure, system, measurement, quantity string) (value float64, unit string, ok bool) {
	var values []float64
	for _, f := range figures {
		if f.System == system && f.Measurement == measurement && f.Quantity == quantity {
			values, unit = append(values, f.Value), f.Unit
		}
	}
	if len(values) == 0 {
		return 0, "", false
	}
	if quantity == "worst" {
		return maximum(values), unit, true
	}
	return median(values), unit, true
}

func ratio(values map[string]float64, other string) string {
	ours, theirs := values[nodeName], values[other]
	if ours == 0 || theirs == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f x", ours/theirs)
}

func verdict(values map[string]float64, g goal) string {
	ours, measured := values[nodeName]
	if g.limit == 0 || !measured {
		return ""
	}
	bound, sign := "at most", ""
	if g.atLeast {
		bound = "at least"
	}
	if g.relative {
		theirs := values[apacheName]
		if theirs == 0 {
			return ""
		}
		ours /= theirs
		sign = " x"
	}
	outcome := "missed"
	if (g.atLeast && ours >= g.limit) || (!g.atLeast && ours <= g.limit) {
		outcome = "reached"
	}
	return fmt.Sprintf("%s %g%s: %s", bound, g.limit, sign, outcome)
}

// format gives three significant digits or all digits before the point.
func format(value float64) string {
	switch {
	case value >= 100:
		return fmt.Sprintf("%.0f", value)
	case value >= 10:
		return fmt.Sprintf("%.1f", value)
	}
	return fmt.Sprintf("%.2f", value)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

func maximum(values []float64) float64 { return slices.Max(values) }
