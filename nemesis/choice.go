package nemesis

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// packages name lists of choices, which may name further packages. What a
// package names and the cluster can't do is skipped.
var packages = map[string][]string{
	"process": {"kill*2", "stop", "pause*2"},
	"network": {"partition*3", "loss", "reset", "rate", "duplicate", "delay", "reorder"},
	"disk":    {"disk-full", "disk-error", "disk-slow", "log-truncated", "log-corrupted", "snapshot-truncated", "snapshot-corrupted", "data-lost"},
	"limits":  {"cpu", "memory"},
	"change":  {"config", "upgrade", "reconfig"},
	"all":     {"process", "network", "disk", "limits", "change"},
}

// Packages names all packages.
func Packages() []string { return slices.Sorted(maps.Keys(packages)) }

// PackageDoc lists what a package holds.
func PackageDoc(name string) string { return strings.Join(packages[name], ", ") }

// Expand reads what a user asks for, entries with commas between them, each a
// fault, a fault with some of its variants, or a package, with a weight:
//
//	kill,partition:bridge+ring*2,network
//
// It returns the entries for Plan, in which no package is left, and the names of
// the faults that only a package has asked for.
func Expand(text string, members int) (choices, optional []string, err error) {
	named := make(map[string]bool)
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		expanded, err := expandEntry(entry, 0)
		if err != nil {
			return nil, nil, err
		}
		fromPackage := len(expanded) != 1 || expanded[0] != entry
		for _, choice := range expanded {
			c, err := parseChoice(choice, members)
			switch {
			case err != nil && fromPackage:
				continue // a fault that makes no sense with so few members
			case err != nil:
				return nil, nil, err
			}
			if !slices.Contains(choices, choice) {
				choices = append(choices, choice)
			}
			named[c.fault.Name()] = named[c.fault.Name()] || !fromPackage
		}
	}
	for _, name := range Kinds() {
		if explicit, chosen := named[name]; chosen && !explicit {
			optional = append(optional, name)
		}
	}
	return choices, optional, nil
}

// maxNesting bounds packages within packages.
const maxNesting = 4

func expandEntry(entry string, depth int) ([]string, error) {
	name, weight, weighted := strings.Cut(entry, "*")
	inside, isPackage := packages[name]
	if !isPackage {
		return []string{entry}, nil
	}
	if weighted || depth == maxNesting {
		return nil, fmt.Errorf("package %s*%s: a package has no weight of its own; its faults have", name, weight)
	}
	var out []string
	for _, entry := range inside {
		expanded, err := expandEntry(entry, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, expanded...)
	}
	return out, nil
}

// ChoiceFault is the fault that an entry for Plan names.
func ChoiceFault(entry string) string {
	name, _, _ := strings.Cut(entry, "*")
	name, _, _ = strings.Cut(name, ":")
	return name
}

// choice is one entry of a list of faults.
type choice struct {
	fault    Fault
	variants []string
	weight   int
}

// maxWeight bounds how much oftener one fault comes than another.
const maxWeight = 100

// parseChoice reads fault[:variant+variant][*weight]. Variants that make no
// sense with so few members are left out; it is an error if none is left.
func parseChoice(entry string, members int) (choice, error) {
	c := choice{weight: 1}
	name, weight, weighted := strings.Cut(entry, "*")
	if weighted {
		var err error
		if c.weight, err = strconv.Atoi(weight); err != nil || c.weight < 1 || c.weight > maxWeight {
			return c, fmt.Errorf("weight %q of %s: want 1 to %d", weight, name, maxWeight)
		}
	}
	name, variants, chosen := strings.Cut(name, ":")
	fault, err := Lookup(name)
	if err != nil {
		return c, fmt.Errorf("%w and the packages %v", err, Packages())
	}
	c.fault, c.variants = fault, fault.Variants(members)
	if chosen {
		c.variants = nil
		for variant := range strings.SplitSeq(variants, "+") {
			switch {
			case slices.Contains(fault.Variants(members), variant):
				c.variants = append(c.variants, variant)
			case !slices.Contains(fault.Variants(maxMembers), variant):
				return c, fmt.Errorf("fault %s has no variant %q, have %v", name, variant, fault.Variants(maxMembers))
			}
		}
	}
	if len(c.variants) == 0 {
		return c, fmt.Errorf("fault %s makes no sense with %d members; choose other faults or more members", entry, members)
	}
	return c, nil
}

// maxMembers is a size of ensemble at which every variant makes sense.
const maxMembers = 9
