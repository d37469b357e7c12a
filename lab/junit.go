package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"zoolab/workloads"
)

// The form of JUnit XML that CI systems read: a suite for each run, in which each
// checker is a test case. A verdict of fail is a failure, unknown an error.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Seconds    string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes the outcome of runs.
func writeJUnit(w io.Writer, outcomes []outcome) error {
	var all junitSuites
	for i := range outcomes {
		suite := junitOf(&outcomes[i])
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Suites = append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("JUnit XML: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

func junitOf(o *outcome) junitSuite {
	var endNs int64
	for _, phase := range o.meta.Phases {
		endNs = max(endNs, phase.EndNs)
	}
	suite := junitSuite{
		Name: o.meta.Name, Seconds: fmt.Sprintf("%.3f", float64(endNs)/1e9), Timestamp: o.meta.Start.UTC().Format(time.RFC3339),
		Properties: []junitProperty{{"command", o.meta.Command}, {"seed", fmt.Sprint(o.meta.Seed)}, {"directory", o.run.Dir}},
	}
	add := func(name string, verdict workloads.Verdict, cause, details string) {
		test := junitCase{Class: "lab." + o.meta.Name, Name: name}
		problem := &junitProblem{Message: cause, Type: string(verdict), Text: details + "\nto reproduce: " + o.meta.Command}
		switch verdict {
		case workloads.VerdictOK:
			test.Output = cause
		case workloads.VerdictFail:
			test.Failure = problem
			suite.Failures++
		default:
			test.Error = problem
			suite.Errors++
		}
		suite.Tests++
		suite.Cases = append(suite.Cases, test)
	}
	for _, result := range o.results.Checkers {
		var details strings.Builder
		for _, failure := range result.Failures {
			fmt.Fprintf(&details, "%s\n", strings.TrimSpace(failure.Key+" "+failure.Cause))
		}
		add(result.Checker, result.Verdict, result.Cause, details.String())
	}
	if o.err != nil {
		add("run", workloads.VerdictUnknown, "the run has no verdict", o.err.Error())
	}
	return suite
}
