package tlsconf

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/youmark/pkcs8"
)

// pemKeys reads a file with one key and its certificates, in any order. Java takes keys
// in PKCS#8 only; the older forms that openssl writes are read here, too.
func pemKeys(b []byte, password string) ([]chain, error) {
	certs, err := pemTrusted(b)
	if err != nil {
		return nil, err
	}
	c := chain{certs: certs}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		key, err := pemKey(block, password)
		if err != nil {
			return nil, err
		}
		if key != nil && c.key != nil {
			return nil, errors.New("it holds several private keys")
		}
		if key != nil {
			c.key = key
		}
	}
	if c.key == nil {
		return nil, nil
	}
	return []chain{c}, nil
}

// pemKey returns the key of a block, nil if it holds none.
func pemKey(block *pem.Block, password string) (crypto.PrivateKey, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("its key is encrypted in a way that is broken: convert it with openssl pkcs8 -topk8 -v2 aes-256-cbc")
	}
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		if password == "" {
			return nil, errPassword
		}
		key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, []byte(password))
		if err != nil {
			return nil, fmt.Errorf("%w (%w)", errPassword, err)
		}
		return key, nil
	}
	return nil, nil
}

// pemTrusted reads all certificates of a file.
func pemTrusted(b []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
