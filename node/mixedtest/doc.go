// Package mixedtest holds tests of ensembles whose members are partly this server and
// partly Apache ZooKeeper's, as processes: either kind leads the other through elections
// and every way of synchronization, and an ensemble under load is migrated member by
// member from one kind to the other and back. Without -full only the quickest of them
// run; make mixed runs all.
package mixedtest
