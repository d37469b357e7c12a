// Package metrics counts what a server does, under the names of Apache ZooKeeper 3.8.
//
// Metrics has one field for each thing that is measured; whoever measures it holds a
// pointer to the field and never looks a name up. Apache's names, their order and their
// kinds are in one table (apache.go), from which the four-letter word mntr, the admin
// command monitor and the Prometheus exporter are all printed, so they can't disagree.
//
// Everything here may be used from any goroutine and takes no lock where it is written.
// What every request writes is spread over shards: a connection writes to its own one,
// so processors do not fight for a cache line.
package metrics
