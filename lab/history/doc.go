// Package history records what clients and the nemesis did, and keeps it in
// files.
//
// The Recorder is the clock of a run: it gives every operation its index and
// its time, in one place and under one lock, so that the order of indexes is an
// order in which things really happened: an invocation is recorded before its
// request leaves, a completion after its reply has come. Each operation goes to
// history.jsonl at once, in one write, so that a lab that is killed leaves a
// history that ends a moment before its death.
//
// There are two forms of files. history.jsonl is the lab's own and holds every
// field. history.edn is for Jepsen's tools: one map a line, values of
// independent keys as [key value], the nemesis as process :nemesis; what Jepsen
// has no word for stands in further keys of the same maps.
package history
