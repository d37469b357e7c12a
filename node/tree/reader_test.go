package tree

import (
	"fmt"
	"slices"
	"testing"

	"zoolab/zk/jute"
)

// reader is a watcher with identities.
type reader struct {
	who  Caller
	told []string
}

func (r *reader) Caller() Caller { return r.who }

func (r *reader) Notify(ev jute.WatcherEvent, _ int64) {
	r.told = append(r.told, fmt.Sprintf("%v %s", ev.Type, ev.Path))
}

func TestEventsOnlyForReaders(t *testing.T) {
	tr := New()
	zxid := int64(0)
	do := func(op jute.OpCode, body jute.Record) {
		t.Helper()
		zxid++
		mustApply(t, tr, txn(zxid, op, body))
	}
	create := func(path string, acl ...jute.ACL) {
		t.Helper()
		do(jute.OpCreate, &jute.CreateTxn{Path: path, ACL: acl, ParentCVersion: -1})
	}
	private := acl(jute.PermAll, "digest", "bob:x")
	open := acl(jute.PermAll, "world", "anyone")
	create("/open", open)
	create("/private", private)
	bob, eve := &reader{who: caller("digest", "bob:x")}, &reader{who: caller("digest", "eve:x")}
	super, skipping := &reader{who: caller("super", "")}, &reader{who: Caller{Rules: &Rules{SkipACL: true}}}
	all := []*reader{bob, eve, super, skipping}
	for _, r := range all {
		tr.AddWatch("/", jute.AddWatchRecursive, r)
	}
	tr.GetData("/open", eve.who, eve)
	create("/open/private", private)
	create("/private/open", open)
	do(jute.OpSetData, &jute.SetDataTxn{Path: "/open/private", Version: 1})
	do(jute.OpSetData, &jute.SetDataTxn{Path: "/open", Version: 1})
	do(jute.OpDelete, &jute.DeleteTxn{Path: "/private/open"})
	do(jute.OpDelete, &jute.DeleteTxn{Path: "/open/private"})
	toAll := []string{
		fmt.Sprint(jute.EventNodeCreated, " /open/private"), fmt.Sprint(jute.EventNodeCreated, " /private/open"),
		fmt.Sprint(jute.EventNodeDataChanged, " /open/private"), fmt.Sprint(jute.EventNodeDataChanged, " /open"),
		fmt.Sprint(jute.EventNodeDeleted, " /private/open"), fmt.Sprint(jute.EventNodeDeleted, " /open/private"),
	}
	toEve := []string{toAll[1], toAll[3], toAll[4]}
	for _, r := range all {
		want := toAll
		if r == eve {
			want = toEve
		}
		if !slices.Equal(r.told, want) {
			t.Errorf("%+v was told\n%q, want\n%q", r.who, r.told, want)
		}
	}
	// A watch is spent by an event that is not told.
	create("/secret", private)
	one := &reader{who: eve.who}
	tr.Exists("/secret", one.who, one)
	do(jute.OpSetData, &jute.SetDataTxn{Path: "/secret", Version: 1})
	do(jute.OpSetACL, &jute.SetACLTxn{Path: "/secret", ACL: []jute.ACL{open}, Version: 1})
	do(jute.OpSetData, &jute.SetDataTxn{Path: "/secret", Version: 2})
	if one.told != nil {
		t.Errorf("a spent watch told of %q", one.told)
	}
}
