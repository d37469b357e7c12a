package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Script is one file: a theme, whose sections share servers of one configuration.
type Script struct {
	Name     string            // the file's name without its extension
	Path     string            // the file
	Comment  []string          // the lines before the first section that are no settings
	Config   map[string]string // settings beyond those that all scripts share
	Sections []*Section
}

// Section is one story. It leaves nothing behind, so it can run alone.
type Section struct {
	Name    string
	Comment []string // comment lines between the name and the first step
	Steps   []*Step
}

// Step is a request, or another action, with what must come back.
type Step struct {
	Comment []string // comment and empty lines above it
	Line    string
	Apache  []string // the recorded answers
	Mark    string   // names the reason why this server answers differently, or ""
	Ours    []string // this server's answers where Mark is set
}

// Want gives the answers that Apache's server, or else this one, must give.
func (s *Step) Want(apache bool) []string {
	if apache || s.Mark == "" {
		return s.Apache
	}
	return s.Ours
}

// Load reads the scripts that match a pattern, in the order of their names.
func Load(pattern string) ([]*Script, error) {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var scripts []*Script
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		script, err := Parse(path, string(text))
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, script)
	}
	return scripts, nil
}

// Parse reads a script's text. Errors name the file and the line.
func Parse(path, text string) (*Script, error) {
	script := &Script{
		Name:   strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)),
		Path:   path,
		Config: make(map[string]string),
	}
	p := parser{script: script}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, i+1, err)
		}
	}
	return script, nil
}

type parser struct {
	script  *Script
	section *Section
	step    *Step
	comment []string // lines that belong to what comes next
}

func (p *parser) line(line string) error {
	switch {
	case strings.HasPrefix(line, "== "):
		p.section = &Section{Name: strings.TrimSpace(line[3:])}
		for _, other := range p.script.Sections {
			if other.Name == p.section.Name {
				return fmt.Errorf("there are two sections %q", other.Name)
			}
		}
		p.section.Comment, p.comment, p.step = p.comment, nil, nil
		p.script.Sections = append(p.script.Sections, p.section)
	case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		p.comment = append(p.comment, line)
	case p.section == nil:
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "config "), "=")
		if !ok || !strings.HasPrefix(line, "config ") {
			return fmt.Errorf("%q stands before the first section and is no config line", line)
		}
		p.script.Comment, p.comment = append(p.script.Comment, p.comment...), nil
		p.script.Config[key] = value
	case strings.HasPrefix(line, "  "):
		return p.answer(strings.TrimPrefix(line, "  "))
	default:
		p.step = &Step{Comment: p.comment, Line: line}
		p.comment = nil
		p.section.Steps = append(p.section.Steps, p.step)
	}
	return nil
}

func (p *parser) answer(line string) error {
	if p.step == nil {
		return fmt.Errorf("%q answers nothing", line)
	}
	if mark, ok := strings.CutPrefix(line, "~"); ok {
		p.step.Mark = mark
		return nil
	}
	if p.step.Mark == "" {
		p.step.Apache = append(p.step.Apache, line)
	} else {
		p.step.Ours = append(p.step.Ours, line)
	}
	return nil
}

// Format gives the script's text, from which Parse makes the same script.
func (s *Script) Format() string {
	var text strings.Builder
	write := func(lines ...string) {
		for _, line := range lines {
			text.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
	write(s.Comment...)
	keys := make([]string, 0, len(s.Config))
	for key := range s.Config {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		write("config " + key + "=" + s.Config[key])
	}
	for _, section := range s.Sections {
		write(section.Comment...)
		write("== " + section.Name)
		for _, step := range section.Steps {
			write(step.Comment...)
			write(step.Line)
			for _, answer := range step.Apache {
				write("  " + answer)
			}
			if step.Mark == "" {
				continue
			}
			write("  ~" + step.Mark)
			for _, answer := range step.Ours {
				write("  " + answer)
			}
		}
	}
	return text.String()
}
