package replica

import (
	"bytes"
	"errors"
	"strconv"

	"zoolab/node/prep"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// TextOfReconfig returns the membership that a logged transaction proposes, nil if it is
// no reconfiguration: what zab.Reconfig asks for.
func TextOfReconfig(payload []byte) []byte {
	var h jute.TxnHeader
	d := jute.NewDecoder(payload)
	if h.Decode(d); d.Err() != nil || h.Type != jute.OpReconfig {
		return nil
	}
	var t jute.SetDataTxn
	if t.Decode(d); d.Err() != nil || t.Data == nil {
		return []byte{} // one that can't be read
	}
	return t.Data
}

// withTreeMembership adds the membership in the tree to what is known, if it is newer: a
// reconfiguration was logged, and the files that should tell of it are those of another time.
func withTreeMembership(cfg zab.Config, t *tree.Tree) zab.Config {
	if cfg.Reconfig == nil || len(t.Config()) == 0 {
		return cfg
	}
	m, err := cfg.Reconfig.Parse(bytes.Clone(t.Config()))
	known := cfg.ConfigVersion
	if cfg.Reconfig.Next != nil {
		known = max(known, cfg.Reconfig.Next.Version)
	}
	if err == nil && m.Version > known {
		reconfig := *cfg.Reconfig
		reconfig.Next = &m
		cfg.Reconfig = &reconfig
	}
	return cfg
}

// showMembership puts the committed membership into /zookeeper/config. Not by a
// transaction: every server does so by itself, as in Apache. One whose transaction is
// still to be applied is shown by that.
func (r *Replica) showMembership() {
	if r.cfg.ConfigText == nil {
		return
	}
	m, _ := r.core.Memberships()
	byTxn := m.Version&0xffffffff != 0 && m.Version > r.Tree().LastZxid()
	if byTxn || m.Version != 0 && bytes.Equal(r.Tree().Config(), m.Text) {
		return
	}
	r.Tree().SetConfig(m.Text, m.Version, r.now.WallMs)
}

// prepOptions lets a leader of an ensemble that may change prepare reconfigurations.
func (r *Replica) prepOptions() prep.Options {
	o := r.cfg.Prep
	if r.cfg.Zab.Reconfig != nil {
		o.Reconfigure = r.reconfigure
	}
	return o
}

// reconfigure makes the text of the membership that a request asks for.
func (r *Replica) reconfigure(q *jute.ReconfigRequest, zxid int64) ([]byte, jute.ErrorCode) {
	committed, next := r.core.Memberships()
	switch {
	case next != nil:
		return nil, jute.CodeReconfigInProgress
	case q.CurConfigID != -1 && q.CurConfigID != committed.Version:
		return nil, jute.CodeBadVersion
	}
	text, err := r.cfg.ChangeMembership(committed.Text, q, zxid)
	if notNumber := new(strconv.NumError); errors.As(err, &notNumber) {
		return nil, jute.CodeMarshallingError
	}
	if err != nil {
		return nil, jute.CodeBadArguments
	}
	m, err := r.cfg.Zab.Reconfig.Parse(text)
	if err != nil {
		return nil, jute.CodeBadArguments
	}
	if !r.core.QuorumSynced(&m) {
		return nil, jute.CodeNewConfigNoQuorum
	}
	return text, jute.CodeOK
}
