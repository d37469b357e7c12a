package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// setter stores the value of one key in the draft, or says what is wrong with
// it. key is the key as it should be written in an example.
type setter func(d *draft, key, value string) *fault

// span is the range of values that a number may have.
type span struct{ low, high int64 }

var (
	anyInt      = span{math.MinInt32, math.MaxInt32}
	anyLong     = span{math.MinInt64, math.MaxInt64}
	notNegative = span{0, math.MaxInt32}
	positive    = span{1, math.MaxInt32}
	orUnset     = span{-1, math.MaxInt32}
	portRange   = span{0, 65535}
)

// integer is a setting that Apache reads with Java's Integer.parseInt: decimal,
// within 32 bits.
func integer(field func(d *draft) *int, allowed span, example string) setter {
	return func(d *draft, key, value string) *fault {
		n, f := parseNumber(key, value, 10, 32, allowed, example)
		if f == nil {
			*field(d) = int(n)
		}
		return f
	}
}

// propertyInteger is a setting that Apache reads with Java's Integer.getInteger:
// like integer, but also hexadecimal (0x, #) and octal (leading 0).
func propertyInteger(field func(d *draft) *int, allowed span, example string) setter {
	return func(d *draft, key, value string) *fault {
		n, f := parseNumber(key, value, 0, 32, allowed, example)
		if f == nil {
			*field(d) = int(n)
		}
		return f
	}
}

// scaledLong is a 64-bit setting in units of scale bytes, for a field in bytes.
func scaledLong(field func(d *draft) *int64, scale int64, allowed span, example string) setter {
	allowed.low = max(allowed.low, math.MinInt64/scale)
	allowed.high = min(allowed.high, math.MaxInt64/scale)
	return func(d *draft, key, value string) *fault {
		n, f := parseNumber(key, value, 0, 64, allowed, example)
		if f == nil {
			*field(d) = n * scale
		}
		return f
	}
}

// boolean is a setting that is true or false, in any case of letters.
func boolean(field func(d *draft) *bool) setter {
	return func(d *draft, key, value string) *fault {
		return setWord(field(d), key, value, "true", "false")
	}
}

// yesNo is a setting that is yes or no.
func yesNo(field func(d *draft) *bool) setter {
	return func(d *draft, key, value string) *fault {
		return setWord(field(d), key, value, "yes", "no")
	}
}

func setWord(field *bool, key, value, yes, no string) *fault {
	switch {
	case strings.EqualFold(value, yes):
		*field = true
	case strings.EqualFold(value, no):
		*field = false
	default:
		return faultf("write "+key+"="+yes+" or "+key+"="+no, "%q is neither %s nor %s", value, yes, no)
	}
	return nil
}

// text is a setting that is taken as it stands.
func text(field func(d *draft) *string) setter {
	return func(d *draft, _, value string) *fault {
		*field(d) = value
		return nil
	}
}

// ratio is a number with a fraction that is not negative.
func ratio(field func(d *draft) *float64, example string) setter {
	return func(d *draft, key, value string) *fault {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return faultf("write for example "+key+"="+example, "%q is not a number", value)
		}
		*field(d) = n
		return nil
	}
}

// share is a part of a whole, from 0 to 1.
func share(field func(d *draft) *float64, example string) setter {
	number := ratio(field, example)
	return func(d *draft, key, value string) *fault {
		was := *field(d)
		if f := number(d, key, value); f != nil {
			return f
		}
		if n := *field(d); n < 0 || n > 1 {
			*field(d) = was
			return faultf("write for example "+key+"="+example, "%s is not between 0 and 1", value)
		}
		return nil
	}
}

// parseNumber reads a number as Java does. base 10 is Integer.parseInt and
// Long.parseLong, base 0 is Integer.decode and Long.decode, base 16 a number
// without a prefix.
func parseNumber(key, value string, base, bits int, allowed span, example string) (int64, *fault) {
	fix := "write for example " + key + "=" + example
	digits := value
	if base == 0 {
		digits, base = javaRadix(value)
	}
	n, err := strconv.ParseInt(digits, base, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, faultf(fix, "%s does not fit in %d bits", value, bits)
	case err != nil:
		return 0, faultf(fix, "%q is not a whole number", value)
	case n < allowed.low:
		return 0, faultf(fix, "%d is too small: the least value is %d", n, allowed.low)
	case n > allowed.high:
		return 0, faultf(fix, "%d is too large: the greatest value is %d", n, allowed.high)
	}
	return n, nil
}

// javaRadix splits the radix prefix off a number in the notation of Java's
// Integer.decode. What it returns for malformed numbers is no number either.
func javaRadix(value string) (digits string, base int) {
	sign, rest := "", value
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign, rest = rest[:1], rest[1:]
	}
	base = 10
	switch {
	case strings.HasPrefix(rest, "0x"), strings.HasPrefix(rest, "0X"):
		rest, base = rest[2:], 16
	case strings.HasPrefix(rest, "#"):
		rest, base = rest[1:], 16
	case strings.HasPrefix(rest, "0") && len(rest) > 1:
		rest, base = rest[1:], 8
	}
	if strings.HasPrefix(rest, "-") || strings.HasPrefix(rest, "+") {
		return "", base
	}
	return sign + rest, base
}
