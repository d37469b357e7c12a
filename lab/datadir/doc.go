// Package datadir reads the data directory of a stopped ZooKeeper server, of
// this project or of Apache: its transaction logs, its snapshots, and the tree
// that a restart would serve.
//
// It is the lab's own reader and shares nothing with the server's storage but
// the record definitions, so that a mistake there is not repeated here. It only
// reads, repairs nothing, and trusts no length that a file claims.
package datadir
