package admin

import (
	"encoding/json"
	"strings"
)

// object is a JSON object that keeps the order of its fields.
type object []field

type field struct {
	key   string
	value any
}

func (o object) has(key string) bool {
	for _, f := range o {
		if f.key == key {
			return true
		}
	}
	return false
}

// appendJSON writes a value in the layout of Apache's AdminServer: objects over several
// lines, lists on one. A value is an object, a []any, or what encoding/json takes.
func appendJSON(b *strings.Builder, value any, indent string) {
	switch value := value.(type) {
	case object:
		if len(value) == 0 {
			b.WriteString("{ }")
			return
		}
		b.WriteString("{")
		for i, f := range value {
			if i > 0 {
				b.WriteString(",")
			}
			b.WriteString("\n" + indent + "  ")
			appendJSON(b, f.key, "")
			b.WriteString(" : ")
			appendJSON(b, f.value, indent+"  ")
		}
		b.WriteString("\n" + indent + "}")
	case []any:
		if len(value) == 0 {
			b.WriteString("[ ]")
			return
		}
		for i, item := range value {
			if i == 0 {
				b.WriteString("[ ")
			} else {
				b.WriteString(", ")
			}
			appendJSON(b, item, indent)
		}
		b.WriteString(" ]")
	case float64:
		b.WriteString(decimal(value))
	default:
		var text strings.Builder
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			panic("admin: not a value for JSON: " + err.Error())
		}
		b.WriteString(strings.TrimSuffix(text.String(), "\n"))
	}
}

// list makes a list of JSON values.
func list[T any](items []T) []any {
	values := make([]any, len(items))
	for i, item := range items {
		values[i] = item
	}
	return values
}
