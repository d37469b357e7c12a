package servetest

import (
	"fmt"
	"testing"

	"zoolab/zk/jute"
)

// TestMillionWatches has one session watch a million paths, each with a watch that stays,
// and others go on meanwhile and when it leaves.
func TestMillionWatches(t *testing.T) {
	watches, perFrame := 1_000_000, 20_000
	if testing.Short() {
		watches = 100_000
	}
	s := startNode(t, map[string]string{"4lw.commands.whitelist": "*"})
	sc := newScript(t, s.ClientAddr)
	w, other := sc.connect("w"), sc.connect("o")
	before := residentBytes(t, s)
	path := func(i int) string { return fmt.Sprintf("/services/%07d", i) }
	for from := 0; from < watches; from += perFrame {
		q := &jute.SetWatches2{}
		for i := range perFrame {
			q.PersistentWatches = append(q.PersistentWatches, path(from+i))
		}
		w.raw("setWatches2", jute.XidSetWatches, jute.OpSetWatches2, jute.Marshal(q), nil)
		other.raw("ping", jute.XidPing, jute.OpPing, nil, nil)
	}
	each := (residentBytes(t, s) - before) / watches
	t.Logf("%d bytes for each of %d watches", each, watches)
	// The table itself takes some 180 bytes; the rest is what the collector has not returned.
	if each > 600 {
		t.Errorf("a watch takes %d bytes", each)
	}
	other.create("/services", "")
	last := path(watches - 1)
	for range 2 {
		other.create(last, "")
		w.awaitEvent("created")
		other.delete(last)
		w.awaitEvent("deleted")
	}
	if err := w.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		other.create(path(i), "")
	}
	other.close()
}
