// Package config turns zoo.cfg, the myid file and a dynamic membership file
// into a validated Config.
//
// It reads what Apache ZooKeeper 3.8 reads, with Apache's defaults and Apache's
// cross checks, so that a configuration in use starts this server too. It
// differs on purpose in four places:
//
//   - a value that Apache would quietly replace by a default because it can't be
//     read as a number or as true or false is an error here;
//   - all errors are reported, not only the first, and each names file, line and
//     key and says what to write instead;
//   - settings that Apache takes only as Java system properties (jute.maxbuffer,
//     readonlymode.enabled, java.security.auth.login.config) are accepted in zoo.cfg, and any setting may carry
//     the property's prefix "zookeeper.";
//   - names of members are not looked up: names that don't resolve yet are the
//     transport's business, which tries again.
//
// A key that nobody knows is a Warning, never an error.
//
// Order of work: properties (lines to keys and values), settings (one key at a
// time), membership (server.N, group.N, weight.N), cross checks, member id.
// A Config is written by one goroutine and only read after Load has returned.
package config
