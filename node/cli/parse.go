package cli

import (
	"strings"
)

// split cuts a line into words. Quotes keep spaces together and are taken away.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside := false // whether a word has begun
	quote := rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inside = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\r'):
			if inside {
				words = append(words, word.String())
				word.Reset()
				inside = false
			}
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if quote != 0 {
		return nil, say("The line ends inside of a %c", quote)
	}
	if inside {
		words = append(words, word.String())
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
		name, dashed := strings.CutPrefix(arg, "-")
		value, known := c.options[name]
		switch {
		case arg == "--":
			parsed.words = append(parsed.words, args[i+1:]...)
			i = len(args)
		case dashed && known && !value:
			parsed.options[name] = ""
		case dashed && known:
			if i++; i == len(args) {
				return parsed, say("Option -%s needs a value\n%s", name, c.help())
			}
			parsed.options[name] = args[i]
		case dashed && name != "" && len(parsed.words) == 0:
			return parsed, say("Unrecognized option: %s\n%s", arg, c.help())
		default:
			parsed.words = append(parsed.words, arg)
		}
	}
	if len(parsed.words) < c.minWords || len(parsed.words) > c.maxWords {
		return parsed, say("%s", c.help())
	}
	return parsed, nil
}

func (c *command) help() string { return strings.TrimSpace(c.name + " " + c.usage) }
