package report

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"strings"
)

// chrome is what every page of this package carries: the style, the script and
// the policy that allows no other script.
type chrome struct {
	Style  template.CSS
	Script template.JS
	Policy string
}

// scriptFiles in the order in which they are joined into one script. Each file
// is a part of one function, so that nothing of it is visible outside.
var scriptFiles = []string{"common.js", "data.js", "scale.js", "lanes.js", "operations.js", "sessions.js", "timeline.js", "filter.js", "runs.js", "main.js"}

var sharedChrome = buildChrome()

func newChrome() chrome { return sharedChrome }

func buildChrome() chrome {
	var script strings.Builder
	script.WriteString("(() => {\n'use strict';\n")
	for _, name := range scriptFiles {
		script.WriteString(mustAsset(name))
	}
	script.WriteString("})();\n")
	sum := sha256.Sum256([]byte(script.String()))
	return chrome{
		Style:  template.CSS(mustAsset("style.css")),
		Script: template.JS(script.String()),
		Policy: "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-" +
			base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'",
	}
}

// mustAsset reads an embedded file; one that is missing is a mistake of the
// build.
func mustAsset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic("report: embedded file " + name + " is missing: " + err.Error())
	}
	return string(text)
}
