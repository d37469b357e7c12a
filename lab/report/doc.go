// Package report turns a chaos run into one HTML file that a person can read
// without any tool, network or server.
//
// # Duties
//
// [Write] makes the report of one run, [WriteIndex] the list of many. The page
// leads with the verdict and its cause, then shows what each checker did, the
// counterexample when there is one, and a zoomable view of the run over time.
//
// # Where a figure comes from
//
// Everything that stands as text on the page (key figures, the availability
// table, the counterexample) is computed here, in Go, and is readable without
// JavaScript. Only what depends on the zoom (throughput, quantiles, points,
// operations per process) is computed in the browser, from the operations that
// the page carries as deflated columns (see columns.go).
//
// # Safety
//
// Keys, errors and log lines come from a system that is being broken on
// purpose, so nothing of them is trusted: text goes through html/template,
// operations travel as base64, the script only ever sets text content, and a
// content security policy allows just the page's own script.
//
// # Ordering and concurrency
//
// The history is taken in the order given. The functions keep no state and may
// be called from several goroutines, as long as nobody changes the input.
package report
