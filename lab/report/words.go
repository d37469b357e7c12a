package report

import "strings"

// checkerWords says what a checker checks.
var checkerWords = map[string]string{
	"linearizable": "Each znode behaves as if its operations took effect one at a time, each at some instant between its invocation and its completion.",
	"zxid-order":   "No session ever sees an older zxid than it saw before; version and mzxid of a znode rise together everywhere.",

	"session-order":      "No session goes back in time, on whichever member: it sees its own writes, and a prefix of the one order of changes; a read after sync is not stale.",
	"serializable":       "The transactions have a serial order that agrees with real time. What each saw of the lists tells who must stand before whom; a cycle of these dependencies can't be.",
	"bank-order":         "Transfers and snapshots of the bank have one order: each finds the versions and balances that the ones before it left.",
	"bank-total":         "Money moves between accounts in transactions: every snapshot has the same total, and no account is overdrawn.",
	"watches":            "No event of a watch is lost, none is invented, each comes before the data that it tells of, and in the order of the changes.",
	"ephemerals":         "Ephemeral znodes are there as long as their session lives, and gone once it was closed or has expired; none comes back.",
	"queue-order":        "What was put is taken once, first in, first out; nothing is lost and nothing is invented.",
	"durable":            "No acknowledged znode is ever missing from a list that was asked for later, also after every member was killed.",
	"counter-bounds":     "Every acknowledged addition counts once: a read shows at least what was acknowledged before it, and at most what was tried.",
	"multi-linearizable": "Each group of znodes, changed several at once, behaves as if its operations took effect one at a time.",
	"mutual-exclusion":   "A lock has one holder at a time; a change with the token of an earlier holder is refused, also when sessions expire while they hold.",
	"one-leader":         "There is one leader at a time, terms rise, and only the newest leader changes anything.",
	"double-barrier":     "Nobody goes in before all have entered, and nobody goes out before all have left.",
	"configurations":     "The list of members never goes back, and nothing that was acknowledged is lost across reconfigurations.",
	"permissions":        "Nobody reads or changes a znode that its access list forbids, and nobody is refused what it allows.",
	"unique-names":       "Sequential names are unique, and rise in the order of real time.",

	"logs-agree":  "The transaction logs of all members hold the same transactions on the range that they share.",
	"logs-clean":  "No member's log tells of a panic, a lost invariant or an error that no fault explains.",
	"trees-equal": "After healing, all members hold the same tree.",
	"non-vacuous": "The run tested something: a fault was proved to be in effect, and every kind of operation succeeded at least once.",
	"complete":    "The run went its whole way: the ensemble recovered after the last fault was healed, and everything was read once more.",
}

// checkerText says it for a checker of a workload, also where several workloads
// run side by side and the workload's name stands first.
func checkerText(name string) string {
	if text, ok := checkerWords[name]; ok {
		return text
	}
	if text, ok := checkerWords[name[strings.LastIndexByte(name, '/')+1:]]; ok {
		return text
	}
	return "A checker of this workload: docs/checkers.md says what it checks."
}
