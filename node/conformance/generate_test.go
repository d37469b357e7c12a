package conformance

import (
	"flag"
	"slices"
	"strings"
	"testing"
)

var (
	firstSeed = flag.Uint64("seed", 1, "first seed of the generated sections")
	seeds     = flag.Uint64("seeds", 10, "how many sections to generate")
	length    = flag.Int("steps", 120, "how many steps a generated section has")
	keep      = flag.Bool("keep", false, "write the generated sections to testdata/generated.txt")
)

// TestGenerated plays generated sections against both servers. One in which they differ is
// shrunk and shown as it would stand in a script.
func TestGenerated(t *testing.T) {
	java, ours := newServers(t, true).addr(nil), newServers(t, false).addr(nil)
	kept := &Script{Path: "testdata/generated.txt", Comment: []string{"# Some generated sections, for machines without Java (go test -run Generated -keep).", ""}}
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		section := Generate(seed, *length)
		kept.Sections = append(kept.Sections, section)
		different, err := differ(java, ours, section)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !different {
			continue
		}
		section = Shrink(section, func(less *Section) bool {
			different, err := differ(java, ours, less)
			return different && err == nil // what was left out may make it no section any more
		})
		answers, _ := Play(java, section)
		note(section, answers)
		answers, _ = Play(ours, section)
		t.Errorf("seed %d, go test -run Generated -seed %[1]d -seeds 1 -steps %d:\n%s\n%s", seed, *length,
			difference(section, answers, false), (&Script{Sections: []*Section{section}}).Format())
	}
	if *keep {
		write(t, kept)
	}
}

// differ reports whether the servers answer a section differently, each time that they are
// asked: see playApache. The error is that of a section which can't be played.
func differ(java, ours string, section *Section) (bool, error) {
	for range tries {
		want, err := Play(java, section)
		if err != nil {
			return false, err
		}
		got, err := Play(ours, section)
		if err == nil && slices.EqualFunc(want, got, slices.Equal) {
			return false, nil
		}
	}
	return true, nil
}

// TestGenerateIsRepeatable: the same seed makes the same section.
func TestGenerateIsRepeatable(t *testing.T) {
	text := func(seed uint64) string {
		return (&Script{Sections: []*Section{Generate(seed, 200)}}).Format()
	}
	if first, again := text(7), text(7); first != again || first == text(8) {
		t.Error("the seed does not decide the section")
	}
}

// TestShrink finds the two steps that matter.
func TestShrink(t *testing.T) {
	section := Generate(1, 100)
	for i, line := range map[int]string{40: "a first", 70: "b second"} {
		section.Steps[i].Line = line
	}
	fails := func(s *Section) bool {
		text := s.lines()
		return strings.Contains(text, "a first") && strings.Contains(text, "b second")
	}
	if less := Shrink(section, fails); less.lines() != "a first\nb second\n" {
		t.Errorf("shrunk to\n%s", less.lines())
	}
}

func (s *Section) lines() string {
	var text strings.Builder
	for _, step := range s.Steps {
		text.WriteString(step.Line + "\n")
	}
	return text.String()
}
