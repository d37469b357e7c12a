// Package plot draws the pictures that Jepsen keeps of each run, under their names
// and with their colours and axes: latency-raw.png, latency-quantiles.png and
// rate.png, with the time of faults shaded. The report shows more, but these go
// where no script runs: into mails, chats and the web pages of other tools.
//
// The functions keep no state.
package plot
