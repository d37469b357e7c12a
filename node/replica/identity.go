package replica

import (
	"slices"
	"strconv"
	"unicode/utf16"

	"zoolab/node/auth"
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// Security is how clients prove who they are, and what comes of it.
type Security struct {
	// Auth checks what clients show. The zero value knows the schemes digest and ip.
	Auth auth.Authenticator
	// Nonce returns sasl.NonceBytes of secure randomness for an exchange of SASL. It is
	// nil where Auth has no users. It is called from any goroutine.
	Nonce func() []byte
	// OnEnsemble is told which ensemble a client named, "" for none, and whether it was right; nil
	// where nobody counts. It is called from any goroutine.
	OnEnsemble func(name string, verdict auth.Verdict)
	// Rules are what ACLs may say and whether they count.
	Rules tree.Rules
	// EnforceSchemes are the schemes of which a client must have an identity before it
	// may do anything else; nil for no such demand (enforce.auth.schemes).
	EnforceSchemes []string
	// KeepFailedSASL lets a client whose SASL fails go on without (allowSaslFailedClients),
	// unless EnforceSchemes demands SASL.
	KeepFailedSASL bool
}

// caller makes the caller of a request of which these identities are proved.
func (r *Replica) caller(ids []jute.ID) *tree.Caller {
	return &tree.Caller{IDs: ids, Rules: &r.cfg.Security.Rules}
}

// prove adds identities to a connection.
func (r *Replica) prove(c *Conn, ids ...jute.ID) {
	have := slices.Clone(c.caller.Load().IDs)
	for _, id := range ids {
		if !slices.Contains(have, id) {
			have = append(have, id)
		}
	}
	sortAsJava(have)
	c.caller.Store(r.caller(have))
}

// sortAsJava puts identities in the order in which Apache's server, which keeps them in a
// hash set, lists them. The order shows in ACLs that were written with the scheme "auth".
func sortAsJava(ids []jute.ID) {
	buckets := uint32(16)
	for len(ids) >= int(buckets-buckets/4) {
		buckets *= 2
	}
	bucket := func(id jute.ID) uint32 {
		h := 37*(37*17+javaHash(id.Scheme)) + javaHash(id.ID)
		return (h ^ h>>16) & (buckets - 1)
	}
	slices.SortStableFunc(ids, func(a, b jute.ID) int { return int(bucket(a)) - int(bucket(b)) })
}

// javaHash is String.hashCode.
func javaHash(s string) uint32 {
	var h uint32
	for _, unit := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(unit)
	}
	return h
}

// refuse answers and cuts off a client that asks for something before it has proved what
// this server demands. The answers carry no zxid, as in 3.8.
func (r *Replica) refuse(c *Conn, xid int32) bool {
	schemes := r.cfg.Security.EnforceSchemes
	if schemes == nil || slices.ContainsFunc(c.caller.Load().IDs, func(id jute.ID) bool { return slices.Contains(schemes, id.Scheme) }) {
		return false
	}
	c.client.Reply(jute.ReplyHeader{Xid: xid, Err: jute.CodeSessionClosedRequireSASL}, nil)
	c.cutOff("the client has no identity of a scheme that enforce.auth.schemes demands")
	return true
}

// provesIdentity reports whether an operation is one by which a client proves who it is.
// An identity counts for all that follows, also for writes, which are submitted before it
// is their turn to be answered. So these operations don't wait for others, as in Apache.
func provesIdentity(op jute.OpCode) bool { return op == jute.OpAuth || op == jute.OpSASL }

// identify carries out an operation of which provesIdentity is true.
func (r *Replica) identify(c *Conn, h jute.RequestHeader, body []byte) {
	if h.Type == jute.OpSASL {
		r.authenticateSASL(c, h, body)
		return
	}
	r.authenticate(c, h, body)
}

// authenticate adds the identities that an auth packet proves; a client that fails to
// prove one is cut off, as it would otherwise go on with fewer rights than it thinks.
// The answers carry no zxid, as in 3.8.
func (r *Replica) authenticate(c *Conn, h jute.RequestHeader, body []byte) {
	var q jute.AuthPacket
	d := jute.NewDecoder(body) // a null scheme is none that proves anything
	if q.Decode(d); d.Err() != nil {
		c.cutOff("auth packet: " + d.Err().Error())
		return
	}
	ids, verdict := r.cfg.Security.Auth.Authenticate(q.Scheme, q.Auth, c.caller.Load().IDs)
	if q.Scheme == "ensemble" && r.cfg.Security.OnEnsemble != nil {
		r.cfg.Security.OnEnsemble(string(q.Auth), verdict)
	}
	switch verdict {
	case auth.Accepted:
		r.prove(c, ids...)
		c.client.Reply(jute.ReplyHeader{Xid: h.Xid}, nil)
	case auth.Elsewhere:
		c.cutOff("the client looks for another ensemble")
	default:
		c.client.Reply(jute.ReplyHeader{Xid: h.Xid, Err: jute.CodeAuthFailed}, nil)
		c.cutOff("authentication failed for scheme " + strconv.Quote(q.Scheme))
	}
}

// authenticateSASL takes one message of an exchange. Where SASL is not configured the
// answer has no message: a client that insists on it gives up, others go on.
func (r *Replica) authenticateSASL(c *Conn, h jute.RequestHeader, body []byte) {
	var q jute.GetSASLRequest
	if err := decode(body, &q); err != nil || q.Token == nil {
		c.cutOff("a SASL packet without a message")
		return
	}
	security := &r.cfg.Security
	if c.sasl == nil && security.Nonce != nil {
		c.sasl = security.Auth.SASL(security.Nonce())
	}
	var answer jute.SetSASLResponse
	if c.sasl != nil {
		var err error
		answer.Token, err = c.sasl.Step(q.Token)
		demanded := slices.Contains(security.EnforceSchemes, "sasl")
		switch {
		case err == nil && c.sasl.Done():
			r.prove(c, security.Auth.SASLUser(c.sasl.User())...)
		case err != nil && (demanded || !security.KeepFailedSASL):
			code := jute.CodeAuthFailed
			if demanded {
				code = jute.CodeSessionClosedRequireSASL
			}
			c.client.Reply(jute.ReplyHeader{Xid: h.Xid, Err: code}, &answer)
			c.cutOff("SASL: " + err.Error())
			return
		}
	}
	c.client.Reply(jute.ReplyHeader{Xid: h.Xid}, &answer)
}
