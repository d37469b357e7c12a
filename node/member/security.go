package member

import (
	"crypto/rand"

	"zoolab/node/auth"
	"zoolab/node/config"
	"zoolab/node/replica"
	"zoolab/node/tree"
	"zoolab/zk/sasl"
)

// security returns who may do what by the configuration.
func (m *Member) security() replica.Security {
	a := &m.cfg.Auth
	return replica.Security{
		Auth:           authenticator(m.cfg),
		Nonce:          nonce,
		OnEnsemble:     m.countEnsemble,
		Rules:          tree.Rules{SkipACL: a.SkipACL, NoDigest: !a.DigestEnabled, SASL: a.SASL, X509: a.X509, AnySASLUser: a.AnySASLUser},
		EnforceSchemes: a.EnforceSchemes,
		KeepFailedSASL: a.AllowFailedSASL,
	}
}

// authenticator returns who knows the schemes of the configuration.
func authenticator(cfg *config.Config) auth.Authenticator {
	a := &cfg.Auth
	return auth.Authenticator{
		NoDigest: !a.DigestEnabled, Digest: a.DigestAlgorithm, SuperDigest: a.SuperDigest,
		X509: a.X509, X509Super: a.X509SuperUser,
		Ensemble: a.Ensemble, EnsembleNames: a.EnsembleNames,
		Users: a.Users, SASLSuperUsers: a.SASLSuperUsers,
	}
}

// countEnsemble counts what clients say with the scheme "ensemble", as Apache's servers do.
func (m *Member) countEnsemble(name string, verdict auth.Verdict) {
	switch {
	case !m.cfg.Auth.Ensemble:
	case verdict == auth.Elsewhere:
		m.metrics.EnsembleMistaken.Add(1)
	case name == "" || m.cfg.Auth.EnsembleNames == nil:
		m.metrics.EnsembleUnnamed.Add(1)
	default:
		m.metrics.EnsembleNamed.Add(1)
	}
}

func nonce() []byte {
	b := make([]byte, sasl.NonceBytes)
	_, _ = rand.Read(b) // never fails
	return b
}
