package cli

import (
	"regexp"
	"slices"
	"strings"
)

// wordPattern is what zkCli.sh takes for a word: quotes count only where a word begins,
// so that it's and {"a":1} are words as they stand.
var wordPattern = regexp.MustCompile(`\s*([^"']\S*|"[^"]*"|'[^']*')\s*`)

// split cuts a line into words. Quotes keep spaces together and are taken away.
func split(line string) ([]string, error) {
	line = strings.TrimSpace(line)
	var words []string
	for line != "" {
		match := wordPattern.FindStringSubmatchIndex(line)
		if match == nil || match[0] != 0 {
			// zkCli.sh drops such a quote and goes on with what is left of the data.
			return nil, say("There is a %c without another at the end of the word; nothing was done", line[0])
		}
		word := line[match[2]:match[3]]
		if quote := word[0]; quote == '"' || quote == '\'' {
			word = word[1 : len(word)-1]
		}
		words = append(words, word)
		line = line[match[1]:]
	}
	return words, nil
}

// arguments are what follows a command's name.
type arguments struct {
	options map[string]string // by letter; "" for those without a value
	words   []string
}

func (a arguments) has(option string) bool {
	_, ok := a.options[option]
	return ok
}

// word returns the i-th word, empty if there are fewer.
func (a arguments) word(i int) string {
	if i >= len(a.words) {
		return ""
	}
	return a.words[i]
}

// parse separates options from words. Options may stand anywhere; behind the first
// word, what is no option of the command is a word, so that data may start with a dash.
func (c *command) parse(args []string) (arguments, error) {
	parsed := arguments{options: make(map[string]string)}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			parsed.words = append(parsed.words, args[i+1:]...)
			break
		}
		given := c.optionsIn(arg)
		if given == nil {
			if len(arg) > 1 && arg[0] == '-' && !negative(arg) && len(parsed.words) == 0 {
				return parsed, say("Unrecognized option: %s; usage: %s", arg, c.help())
			}
			parsed.words = append(parsed.words, arg)
			continue
		}
		for _, option := range given {
			if option.needsValue {
				if i++; i == len(args) {
					return parsed, say("Missing argument for option: %s; usage: %s", option.name, c.help())
				}
				option.value = args[i]
			}
			parsed.options[option.name] = option.value
		}
	}
	return parsed, c.check(parsed)
}

// given is an option of a command line.
type given struct {
	name, value string
	needsValue  bool // the value is the next argument
}

// optionsIn reads an argument as one option, as one with its value (-v3, -v=3), or as
// several letters (-sw). It returns nil if the argument is none of these.
func (c *command) optionsIn(arg string) []given {
	name, dashed := strings.CutPrefix(arg, "-")
	if !dashed || name == "" {
		return nil
	}
	if valued, known := c.options[name]; known {
		return []given{{name: name, needsValue: valued}}
	}
	if name, value, found := strings.Cut(name, "="); found && c.options[name] {
		return []given{{name: name, value: value}}
	}
	var all []given
	for i := range len(name) {
		letter := name[i : i+1]
		valued, known := c.options[letter]
		if !known {
			return nil
		}
		if rest := name[i+1:]; valued && rest != "" {
			return append(all, given{name: letter, value: rest})
		}
		all = append(all, given{name: letter, needsValue: valued})
	}
	return all
}

// negative reports a number below zero, which is a word and no option.
func negative(arg string) bool {
	return strings.Trim(arg[1:], "0123456789.") == ""
}

// check says what is wrong with the number of words or the choice of options.
func (c *command) check(parsed arguments) error {
	chosen := ""
	for _, name := range c.oneOf {
		switch {
		case !parsed.has(name):
		case chosen != "":
			return say("The option '%s' was specified but an option from this group has already been selected: '%s'; usage: %s",
				name, chosen, c.help())
		default:
			chosen = name
		}
	}
	if c.oneRequired && chosen == "" {
		return say("Missing required option: one of -%s; usage: %s", strings.Join(c.oneOf, ", -"), c.help())
	}
	if len(parsed.words) < c.minWords || c.strict && len(parsed.words) > c.maxWords {
		return say("%s", c.help())
	}
	return nil
}

// ignored names the words that the command has no use for.
func (c *command) ignored(parsed arguments) []string {
	if len(parsed.words) <= c.maxWords {
		return nil
	}
	return slices.Clone(parsed.words[c.maxWords:])
}

func (c *command) help() string { return strings.TrimSpace(c.name + " " + c.usage) }
