package prep

import (
	"fmt"
	"strings"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// The order of the checks below is Apache's: where a request is wrong in two ways, a
// client gets the same error from either server.

func (p *Prep) create(h *jute.TxnHeader, who tree.Caller, op jute.OpCode, r jute.CreateTTLRequest) (jute.Record, jute.ErrorCode) {
	if code := p.checkMode(op, &r); code != jute.CodeOK {
		return nil, code
	}
	switch {
	case !p.sessionLive(h.ClientID):
		return nil, jute.CodeSessionExpired
	case r.Flags.Ephemeral() && p.local != jute.CodeOK:
		return nil, p.local
	}
	if strings.IndexByte(r.Path, '/') < 0 || strings.IndexByte(r.Path, 0) >= 0 {
		return nil, jute.CodeBadArguments
	}
	acl, ok := tree.FixACL(r.ACL, who)
	if !ok {
		return nil, jute.CodeInvalidACL
	}
	parent, there := p.lookup(parentPath(r.Path))
	if !there {
		return nil, jute.CodeNoNode
	}
	if !tree.Allowed(parent.acl, jute.PermCreate, who) {
		return nil, jute.CodeNoAuth
	}
	path := r.Path
	if r.Flags.Sequential() {
		path = fmt.Sprintf("%s%010d", path, parent.stat.Cversion)
	}
	if !validPath(path) {
		return nil, jute.CodeBadArguments
	}
	if _, there := p.lookup(path); there {
		return nil, jute.CodeNodeExists
	}
	if tree.KindOf(parent.stat.EphemeralOwner) == tree.Ephemeral {
		return nil, jute.CodeNoChildrenForEphemerals
	}
	if code := p.checkQuota(path, 1, len(r.Data)); code != jute.CodeOK {
		return nil, code
	}
	parent.numChildren++
	parent.stat.Cversion++
	parent.stat.Pzxid = h.Zxid
	p.record(h, parent)

	node := change{path: path, exists: true, acl: acl, contentCRC: p.digester.ContentCRC(path, r.Data), dataBytes: len(r.Data)}
	node.stat = jute.StatPersisted{Czxid: h.Zxid, Mzxid: h.Zxid, Pzxid: h.Zxid, Ctime: h.TimeMs, Mtime: h.TimeMs}
	var body jute.Record
	switch op {
	case jute.OpCreateContainer:
		node.stat.EphemeralOwner = tree.OwnerOfContainer()
		body = &jute.CreateContainerTxn{Path: path, Data: r.Data, ACL: acl, ParentCVersion: parent.stat.Cversion}
	case jute.OpCreateTTL:
		node.stat.EphemeralOwner = tree.OwnerOfTTL(r.TtlMs)
		body = &jute.CreateTTLTxn{Path: path, Data: r.Data, ACL: acl, ParentCVersion: parent.stat.Cversion, TtlMs: r.TtlMs}
	default:
		if r.Flags.Ephemeral() {
			node.stat.EphemeralOwner = h.ClientID
		}
		body = &jute.CreateTxn{Path: path, Data: r.Data, ACL: acl, Ephemeral: r.Flags.Ephemeral(), ParentCVersion: parent.stat.Cversion}
	}
	p.record(h, node)
	return body, jute.CodeOK
}

// checkMode checks that mode, time to live and kind of request belong together. A TTL
// below zero is none.
func (p *Prep) checkMode(op jute.OpCode, r *jute.CreateTTLRequest) jute.ErrorCode {
	if !r.Flags.Valid() {
		return jute.CodeBadArguments
	}
	ttlMode := r.Flags == jute.ModeTTL || r.Flags == jute.ModeTTLSequential
	if ttlMode && !p.opts.ExtendedTypes {
		return jute.CodeUnimplemented
	}
	if ttlMode != (op == jute.OpCreateTTL) || ttlMode && (r.TtlMs <= 0 || r.TtlMs > tree.MaxTTLMs) {
		return jute.CodeBadArguments
	}
	return jute.CodeOK
}

func (p *Prep) delete(h *jute.TxnHeader, who tree.Caller, r *jute.DeleteRequest) (jute.Record, jute.ErrorCode) {
	if !deletable(r.Path) {
		return nil, jute.CodeBadArguments
	}
	parent, there := p.lookup(parentPath(r.Path))
	if !there {
		return nil, jute.CodeNoNode
	}
	if !tree.Allowed(parent.acl, jute.PermDelete, who) {
		return nil, jute.CodeNoAuth
	}
	node, there := p.lookup(r.Path)
	if !there {
		return nil, jute.CodeNoNode
	}
	if !versionMatches(node.stat.Version, r.Version) {
		return nil, jute.CodeBadVersion
	}
	if node.numChildren > 0 {
		return nil, jute.CodeNotEmpty
	}
	p.recordDelete(h, r.Path)
	return &jute.DeleteTxn{Path: r.Path}, jute.CodeOK
}

// deleteContainer deletes a container or TTL znode in the server's own name, if it still
// is due: it may have been written, or have made place for another, since it was found.
func (p *Prep) deleteContainer(h *jute.TxnHeader, path string) (jute.Record, jute.ErrorCode) {
	if !deletable(path) {
		return nil, jute.CodeBadArguments
	}
	node, there := p.lookup(path)
	if !there {
		return nil, jute.CodeNoNode
	}
	if node.numChildren > 0 {
		return nil, jute.CodeNotEmpty
	}
	if !p.opts.Disposal().Due(&node.stat, node.numChildren, h.TimeMs) {
		return nil, jute.CodeBadVersion
	}
	p.recordDelete(h, path)
	return &jute.DeleteTxn{Path: path}, jute.CodeOK
}

func (p *Prep) setData(h *jute.TxnHeader, who tree.Caller, r *jute.SetDataRequest) (jute.Record, jute.ErrorCode) {
	if !validPath(r.Path) {
		return nil, jute.CodeBadArguments
	}
	node, there := p.lookup(r.Path)
	if !there {
		return nil, jute.CodeNoNode
	}
	if !tree.Allowed(node.acl, jute.PermWrite, who) {
		return nil, jute.CodeNoAuth
	}
	if code := p.checkQuota(r.Path, 0, len(r.Data)-node.dataBytes); code != jute.CodeOK {
		return nil, code
	}
	if !versionMatches(node.stat.Version, r.Version) {
		return nil, jute.CodeBadVersion
	}
	node.stat.Version++
	node.stat.Mtime, node.stat.Mzxid = h.TimeMs, h.Zxid
	node.contentCRC, node.dataBytes = p.digester.ContentCRC(r.Path, r.Data), len(r.Data)
	p.record(h, node)
	return &jute.SetDataTxn{Path: r.Path, Data: r.Data, Version: node.stat.Version}, jute.CodeOK
}

func (p *Prep) setACL(h *jute.TxnHeader, who tree.Caller, r *jute.SetACLRequest) (jute.Record, jute.ErrorCode) {
	if !validPath(r.Path) {
		return nil, jute.CodeBadArguments
	}
	acl, ok := tree.FixACL(r.ACL, who)
	if !ok {
		return nil, jute.CodeInvalidACL
	}
	node, there := p.lookup(r.Path)
	if !there {
		return nil, jute.CodeNoNode
	}
	if !tree.Allowed(node.acl, jute.PermAdmin, who) {
		return nil, jute.CodeNoAuth
	}
	if !versionMatches(node.stat.Aversion, r.Version) {
		return nil, jute.CodeBadVersion
	}
	node.stat.Aversion++
	node.acl = acl
	p.record(h, node)
	return &jute.SetACLTxn{Path: r.Path, ACL: acl, Version: node.stat.Aversion}, jute.CodeOK
}

// checkQuota notes the quotas that a write breaches, and refuses it if it must.
func (p *Prep) checkQuota(path string, nodes, grownBytes int) jute.ErrorCode {
	breaches, code := p.tree.CheckQuota(path, nodes, grownBytes)
	for _, b := range breaches {
		if len(p.breaches) < maxBreaches {
			p.breaches = append(p.breaches, b)
		}
		if b.Hard && p.opts.EnforceQuota {
			return jute.CodeQuotaExceeded
		}
	}
	if !p.opts.EnforceQuota {
		return jute.CodeOK
	}
	return code
}

// check changes nothing. Its transaction has the version that a write would have made.
func (p *Prep) check(who tree.Caller, r *jute.CheckVersionRequest) (jute.Record, jute.ErrorCode) {
	if !validPath(r.Path) {
		return nil, jute.CodeBadArguments
	}
	node, there := p.lookup(r.Path)
	if !there {
		return nil, jute.CodeNoNode
	}
	if !tree.Allowed(node.acl, jute.PermRead, who) {
		return nil, jute.CodeNoAuth
	}
	if !versionMatches(node.stat.Version, r.Version) {
		return nil, jute.CodeBadVersion
	}
	return &jute.CheckVersionTxn{Path: r.Path, Version: node.stat.Version + 1}, jute.CodeOK
}

// versionMatches compares versions; -1 in the request matches any.
func versionMatches(version, requested int32) bool {
	return requested == -1 || requested == version
}

// parentPath returns the path of the parent, "/" for the root's children.
func parentPath(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return path[:i]
}

// deletable reports whether a path may be deleted: not the znodes that every tree has.
func deletable(path string) bool {
	switch path {
	case "/", tree.ZookeeperPath, tree.QuotaPath, tree.ConfigPath:
		return false
	}
	return strings.IndexByte(path, '/') >= 0 && strings.IndexByte(path, 0) < 0
}

// validPath reports whether a znode may have the path: absolute, no slash at the end,
// no part empty, "." or "..", no control characters, and nothing of Unicode's
// surrogates, private use area, specials or planes above the first.
func validPath(path string) bool {
	if path == "/" {
		return true
	}
	if path == "" || path[0] != '/' {
		return false
	}
	for name := range strings.SplitSeq(path[1:], "/") {
		if name == "" || name == "." || name == ".." {
			return false
		}
	}
	for _, r := range path {
		// Bytes that are not UTF-8 read as U+FFFD, one of the specials.
		if r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 {
			return false
		}
	}
	return true
}
