package conformance

// Differences names the marks of the scripts: where this server's answers differ from those
// of Apache's 3.8.0 by intention, and why. A mark that no script uses is an error of the
// tests, as is one that is not listed.
var Differences = map[string]string{
	"granted": "createSession is the servers' own, too. Apache grants a client's a session, and answers with the record of a " +
		"connect, which no client expects behind a request; here it is refused, and the connection ends.",
	"internal": "deleteContainer is the servers' own. Apache logs an error transaction for a client's; " +
		"here it is refused with the same code, and costs no transaction.",
	"ipv6": "Debian's 3.8.0 knows IPv4 only in ACLs of the scheme ip; later versions and this one know both.",
	"kicked": "Apache closes the connection of a session's owner when anybody shows up with the session's " +
		"id, before it looks at the password. Here the password comes first.",
	"nocheck": "A check outside of a multi that succeeds is never answered by Apache. No client sends one.",
	"null": "A null path meets a null pointer in Apache: at one place or another, with one error or another, " +
		"with a transaction or without. No client sends one. Here it is a marshalling error; sync answers with an empty path.",
	"oddwatch": "checkWatches of a path that does not begin with a slash: Apache looks for its parents, and fails or finds none.",
	"surrogates": "Java reads characters beyond the basic plane as two surrogates and writes these one by one. " +
		"No znode can have such a name; only sync shows it.",
	"untransacted": "A reconfig that can't be read is logged as an error transaction, as all writes are; Apache logs none.",
	"utf8":         "Java replaces bytes that are no UTF-8 by U+FFFD. No znode can have such a name; only sync and whoAmI show it.",
}
