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
func security(cfg *config.Config) replica.Security {
	a := &cfg.Auth
	return replica.Security{
		Auth: auth.Authenticator{
			NoDigest: !a.DigestEnabled, Digest: a.DigestAlgorithm, SuperDigest: a.SuperDigest,
			X509: a.X509, X509Super: a.X509SuperUser,
			Ensemble: a.Ensemble, EnsembleNames: a.EnsembleNames,
			Users: a.Users, SASLSuperUsers: a.SASLSuperUsers,
		},
		Nonce:          nonce,
		Rules:          tree.Rules{SkipACL: a.SkipACL, NoDigest: !a.DigestEnabled, SASL: a.SASL, X509: a.X509, AnySASLUser: a.AnySASLUser},
		EnforceSchemes: a.EnforceSchemes,
		KeepFailedSASL: a.AllowFailedSASL,
	}
}

func nonce() []byte {
	b := make([]byte, sasl.NonceBytes)
	_, _ = rand.Read(b) // never fails
	return b
}
