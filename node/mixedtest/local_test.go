package mixedtest

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"zoolab/zk"
)

// TestLocalSessions lets members of both kinds keep sessions of their own, under a leader of
// either, until a session makes an ephemeral.
func TestLocalSessions(t *testing.T) {
	requireApache(t)
	for _, name := range []string{"this server leads Java", "Java leads this server"} {
		t.Run(name, func(t *testing.T) {
			e := newEnsemble(t, layouts[name]...)
			e.set("localSessionsEnabled", "true")
			e.set("localSessionsUpgradingEnabled", "true")
			e.startUnder(e.members[2])
			for _, m := range e.members {
				e.localSession(m)
			}
			e.localExpiry()
		})
	}
}

// set adds a setting to those of all members, before they start.
func (e *ensemble) set(key, value string) {
	for _, m := range e.members {
		m.cfg.Extra = maps.Clone(m.cfg.Extra)
		m.cfg.Extra[key] = value
	}
}

// sessions waits until a member counts as many local sessions, and as many of the ensemble's.
func (e *ensemble) sessions(m *member, local, global string) {
	e.t.Helper()
	await(e.t, fmt.Sprintf("%v counts %s local sessions and %s of the ensemble's", m, local, global), func() bool {
		return monitor(e.t, m, "zk_local_sessions") == local && monitor(e.t, m, "zk_global_sessions") == global
	})
}

// localSession leads one session from its member alone to the whole ensemble.
func (e *ensemble) localSession(m *member) {
	t := e.t
	t.Helper()
	other := e.members[m.id%int64(len(e.members))]
	c := super(t, addresses(m))
	path := fmt.Sprintf("/local-%d", m.id)
	if _, err := c.Create(within(t), path, nil, zk.Persistent); err != nil {
		t.Fatal(err)
	}
	e.sessions(m, "1", "0")
	_, err := zk.Connect(within(t), addresses(other), zk.WithSession(c.Session()))
	if !errors.Is(err, zk.ErrSessionExpired) {
		t.Fatalf("%v takes a session of %v: %v", other, m, err)
	}
	c = e.moveTo(c, m)
	if _, err := c.Set(within(t), path, []byte("back"), zk.AnyVersion); err != nil {
		t.Fatal(err)
	}
	// A multi, and then a create in a session that is the ensemble's already.
	if _, err := c.Multi(within(t), zk.CheckOp(path, 1), zk.CreateOp(path+"/first", nil, zk.Ephemeral)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(within(t), path+"/e-", nil, zk.EphemeralSequential); err != nil {
		t.Fatal(err)
	}
	for _, each := range e.members {
		e.sessions(each, "0", "1")
	}
	c = e.moveTo(c, other)
	e.agree()
	bye(t, c)
	if tree := e.agree(); tree[path+"/first"] != "" {
		t.Fatal("an ephemeral outlives its session")
	}
}

// localExpiry leaves two sessions behind at each member: one of the member's own, and one of
// the ensemble's that was its own.
func (e *ensemble) localExpiry() {
	t := e.t
	t.Helper()
	short := zk.WithSessionTimeout(4 * time.Second)
	for _, m := range e.members {
		connect(t, addresses(m), short).Detach()
		c := connect(t, addresses(m), short)
		if _, err := c.Create(within(t), fmt.Sprintf("/left-%d", m.id), nil, zk.Ephemeral); err != nil {
			t.Fatal(err)
		}
		c.Detach()
	}
	for _, m := range e.members {
		e.sessions(m, "0", "0")
	}
	tree := e.agree()
	for _, m := range e.members {
		if tree[fmt.Sprintf("/left-%d", m.id)] != "" {
			t.Fatalf("an ephemeral of %v outlives its session", m)
		}
	}
}
