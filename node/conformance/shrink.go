package conformance

import "strings"

const maxTries = 500

// Shrink leaves out steps for as long as fails still holds, and returns what is left: first
// whole sessions, then pieces of half the length, of a quarter, and so on. It asks no more
// than maxTries times.
func Shrink(section *Section, fails func(*Section) bool) *Section {
	without := func(drop func(i int, line string) bool) *Section {
		less := &Section{Name: section.Name}
		for i, step := range section.Steps {
			if !drop(i, step.Line) {
				less.Steps = append(less.Steps, &Step{Line: step.Line})
			}
		}
		return less
	}
	tries := 0
	try := func(drop func(i int, line string) bool) bool {
		less := without(drop)
		if tries++; tries > maxTries || len(less.Steps) == len(section.Steps) || !fails(less) {
			return false
		}
		section = less
		return true
	}
	for _, name := range []string{"a ", "b ", "c "} {
		try(func(_ int, line string) bool { return strings.HasPrefix(line, name) })
	}
	for size := max(1, len(section.Steps)/2); ; size /= 2 {
		smaller := false
		for from := 0; from < len(section.Steps); {
			if !try(func(i int, _ string) bool { return i >= from && i < from+size }) {
				from += size
			} else {
				smaller = true
			}
		}
		if size == 1 && !smaller {
			return section
		}
		size = max(size, 2)
	}
}
