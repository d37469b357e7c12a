// Package servetest holds the tests that judge the server as a process, from outside:
// its command line, its limits, and its client port compared with that of Apache
// ZooKeeper 3.8.0. The tests that need the original skip where it is not installed.
package servetest
