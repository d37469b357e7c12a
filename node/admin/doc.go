// Package admin answers the questions of the people and programs that operate a server:
// the four-letter words of the client port, the AdminServer's commands over HTTP, and
// Prometheus' scrapes. All three read from one View, so they agree.
//
// Answers have the names, shapes and formats of Apache ZooKeeper 3.8.0, on which the
// tools that read them were built; commands that came later are as in the version that
// brought them. The package only reads, but for the few commands that reset statistics or
// are there to change something; it never blocks the event loop, and asks it for what
// only the loop may touch.
package admin
