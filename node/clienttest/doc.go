// Package clienttest proves the server with ZooKeeper's other clients: Java's zkCli.sh,
// the C client's shell cli_mt and its load_gen, and Python's kazoo with its recipes.
//
// It has tests only. Each scenario runs against this server, alone and as an ensemble of
// three, and against Apache's, and its output must be that of a file in testdata. Ids,
// times and what depends on them are masked. A client that is not installed is skipped
// with a message; scripts/setup installs all of them on Debian.
package clienttest
