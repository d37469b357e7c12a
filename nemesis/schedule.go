package nemesis

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// Roles are targets that are resolved when the step starts.
const (
	RoleLeader   = "leader"   // whoever leads
	RoleFollower = "follower" // a member that doesn't
)

// Schedule is a list of faults with times, to be carried out by Run. It is
// plain data: written beside a history, it replays the same faults.
type Schedule struct {
	// Seed that Plan made the schedule from, 0 for one written by hand.
	Seed int64 `yaml:"seed"`
	// Members by name, in the order of their ids.
	Members []string `yaml:"members,flow"`
	// Reconfig says that the members are made such as can be reconfigured, whether a step does
	// that or not. It makes another ensemble, with which the rest goes another way.
	Reconfig bool `yaml:"reconfig,omitempty"`
	// Total length of the fault phase. Every step is healed before it ends.
	Total time.Duration `yaml:"total"`
	// Steps in the order of At.
	Steps []Step `yaml:"steps"`
}

// Step is one fault: what, to whom, from when, for how long.
type Step struct {
	// At is the start, relative to the start of the fault phase.
	At time.Duration `yaml:"at"`
	// Fault is a name of Kinds, Variant one of its variants.
	Fault   string `yaml:"fault"`
	Variant string `yaml:"variant"`
	// Targets are member names or roles; what they mean depends on the variant
	// (see the fault's documentation).
	Targets []string `yaml:"targets,flow"`
	// Params are the fault's numbers, such as percent; see Fault.Params.
	Params map[string]int `yaml:"params,omitempty,flow"`
	// Duration from the start of the fault to the start of its heal.
	Duration time.Duration `yaml:"duration"`
}

// MarshalSchedule writes a schedule as YAML.
func MarshalSchedule(s Schedule) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(s); err != nil {
		return nil, fmt.Errorf("schedule: %w", err)
	}
	return out.Bytes(), nil
}

// ParseSchedule reads and validates a schedule written as YAML. Unknown keys
// are errors, so that a misspelt key isn't a fault that silently never happens.
func ParseSchedule(data []byte) (Schedule, error) {
	var s Schedule
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil {
		return Schedule{}, fmt.Errorf("schedule: %w", err)
	}
	return s, s.Validate()
}

// Validate checks that every step can be carried out on the schedule's members.
func (s Schedule) Validate() error {
	if len(s.Members) == 0 {
		return fmt.Errorf("schedule: no members")
	}
	for i, step := range s.Steps {
		if err := s.validateStep(step); err != nil {
			return fmt.Errorf("schedule: step %d (%s at %s): %w", i, step.Fault, step.At, err)
		}
		if i > 0 && step.At < s.Steps[i-1].At {
			return fmt.Errorf("schedule: step %d starts before the step above it; sort the steps by at", i)
		}
	}
	return nil
}

func (s Schedule) validateStep(step Step) error {
	fault, err := Lookup(step.Fault)
	if err != nil {
		return err
	}
	if !slices.Contains(fault.Variants(len(s.Members)), step.Variant) {
		return fmt.Errorf("no variant %q with %d members, have %v", step.Variant, len(s.Members), fault.Variants(len(s.Members)))
	}
	if step.At < 0 || step.Duration <= 0 || step.At+step.Duration > s.Total {
		return fmt.Errorf("at %s for %s does not fit into a total of %s", step.At, step.Duration, s.Total)
	}
	if len(step.Targets) == 0 {
		return fmt.Errorf("no targets")
	}
	for _, target := range step.Targets {
		if target != RoleLeader && target != RoleFollower && !slices.Contains(s.Members, target) {
			return fmt.Errorf("target %q is neither a member of %v nor %q or %q", target, s.Members, RoleLeader, RoleFollower)
		}
	}
	return step.validateParams(fault.Params(step.Variant))
}

func (s Step) validateParams(allowed []Param) error {
	for name, value := range s.Params {
		at := slices.IndexFunc(allowed, func(p Param) bool { return p.Name == name })
		switch {
		case at < 0:
			return fmt.Errorf("no parameter %q, have %v", name, paramNames(allowed))
		case value < 1 || value > paramLimit:
			return fmt.Errorf("parameter %s is %d, want 1 to %d", name, value, paramLimit)
		case name == "percent" && value > 100:
			return fmt.Errorf("parameter %s is %d, want 1 to 100", name, value)
		}
	}
	return nil
}

// paramLimit bounds all parameters: a minute in ms, a gigabit in kbit.
const paramLimit = 1_000_000

func paramNames(params []Param) []string {
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name
	}
	return names
}

// param is a number of the step, or its default.
func (s Step) param(f Fault, name string) int {
	if value, set := s.Params[name]; set {
		return value
	}
	for _, p := range f.Params(s.Variant) {
		if p.Name == name {
			return p.Default
		}
	}
	panic("nemesis: " + f.Name() + " has no parameter " + name)
}
