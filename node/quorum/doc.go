// Package quorum decides whether a set of servers is a quorum.
//
// Two verifiers exist. Majority asks for more than half of the voters.
// Hierarchical splits the voters into groups and gives each a weight: a quorum
// is more than half of the weight in more than half of the groups that have any
// weight at all. Both have the property that consensus stands on: any two
// quorums share a server.
//
// The package is pure. A verifier is immutable, so that any number of
// goroutines may ask it; a Set belongs to one goroutine. Nothing here allocates
// after a Set has grown to its ensemble's size: both are asked for every
// proposal.
//
// The rules are those of Apache's "Introduction to hierarchical quorums", and
// must stay so: members that disagree on what a quorum is can elect two leaders.
package quorum

// Verifier says which sets of servers are quorums of one configuration.
type Verifier interface {
	// ContainsQuorum reports whether acks includes a quorum. Servers in acks
	// that are not voters count for nothing.
	ContainsQuorum(acks Set) bool
	// Weight is the weight of sid's vote; 0 for a server that is not a voter.
	// A server of weight 0 is never elected leader.
	Weight(sid int64) int64
	// Voters are the ids of the voting servers in rising order. The slice is
	// shared: callers must not change it.
	Voters() []int64
	// Version is the version of the configuration that the verifier came from.
	Version() int64
	// String describes the rule for people.
	String() string
}
