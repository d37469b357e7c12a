package tlsconf

import (
	"crypto/x509"
	"errors"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

func pkcs12Keys(b []byte, password string) ([]chain, error) {
	key, cert, more, err := pkcs12.DecodeChain(b, password)
	if err != nil {
		return nil, pkcs12Error(err)
	}
	return []chain{{key: key, certs: append([]*x509.Certificate{cert}, more...)}}, nil
}

// errNotMarked is the trap of stores that openssl made: Java trusts only certificates that
// carry an attribute of its own.
var errNotMarked = errors.New("its certificates are not marked as trusted, as Java needs it: " +
	"import them with keytool -importcert -alias ca -file ca.pem, or name the PEM file itself")

func pkcs12Trusted(b []byte, password string) ([]*x509.Certificate, error) {
	certs, err := pkcs12.DecodeTrustStore(b, password)
	if err == nil {
		return certs, nil
	}
	if err = pkcs12Error(err); errors.Is(err, errPassword) {
		return nil, err
	}
	if strings.Contains(err.Error(), "not marked as trusted") {
		return nil, errNotMarked
	}
	if _, _, _, keyErr := pkcs12.DecodeChain(b, password); keyErr == nil {
		return nil, errors.New("it holds a private key: trusted certificates must be in a store of their own")
	}
	return nil, err
}

func pkcs12Error(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		return errPassword
	}
	return err
}
