// Package conformance compares this server with Apache ZooKeeper 3.8.0, byte by byte, on
// the client port.
//
// A script (testdata/*.txt) is a story of sessions that send frames. Behind each request
// stand the answers of Apache's server, recorded with
//
//	go test ./node/conformance -run Apache -record
//
// Tests play each script against this server, which needs no Java, and against Apache's
// where it is installed, so that the records stay true. What answers differently by
// intention stands in the scripts behind a mark, whose reason is in [Differences].
//
// # Scripts
//
//	config enforceQuota=true          # a line for zoo.cfg, before the first section
//	== one node, one watch            # a section: sessions and znodes end with it
//	a connect timeout=4000            # a session named a
//	  a session=a timeout=4000 passwd=derived ro=0
//	a create /x data="one"            # a request
//	  a xid=1 z=+2 ok path="/x"       # its answer
//	b getData /x watch                # ...
//	  ~mark                           # what follows is what this server answers
//	  b closed
//
// A request names its session, the operation, its paths and then its other fields as
// key=value; every field has a default. Values are words, Go strings in quotes, null,
// hex:BYTES or zeros:COUNT. Any request takes xid=N, op=N (another operation code), cut=N
// (N bytes missing at the end of its body) and extra=hex:BYTES (more of them). Parts of a
// multi are separated by a semicolon. "send" before an operation puts it off until "recv",
// which writes all of them at once and reads their answers.
//
// Zxids are written relative to the last one before the section ("old" when earlier), session
// ids as the session's name; a password is "derived" when it is the one that belongs to the
// id. Times are left out while they are near the present and consistent with the zxids.
// Children and ephemerals are sorted, since Apache's order is that of a hash table.
// After each step all sessions are pinged, so that a step shows every event that it caused,
// on all connections, and its place before or behind the answer.
package conformance
