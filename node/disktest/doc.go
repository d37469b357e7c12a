// Package disktest holds tests that hand data directories to and fro between this server
// and Apache ZooKeeper, as processes: see its test files.
package disktest
