// Package store keeps runs on disk, in the layout of Jepsen's store, so that
// its tools find their way: store/<name>/<time>/, with the links store/latest
// and store/<name>/latest to the newest run.
//
// A run directory holds run.json (what was run and what happened, without the
// operations), history.jsonl and history.edn, schedule.yaml, results.json and
// results.edn, trees.json, report.html, lab.log, a directory for each member
// with what was collected from it, and independent/KEY/ with the operations and
// violations of each key that has any, as Jepsen's independent checker keeps them.
//
// A run belongs to the process that made it; several processes may keep their
// runs in one store at a time. Files are replaced as a whole, by renaming, so
// that a reader never sees half of one.
package store
