// Package certs makes certificate authorities, certificates and the stores that hold them,
// for tests of TLS.
package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// Cert is a certificate with its key and what signed it.
type Cert struct {
	Leaf   *x509.Certificate
	Key    crypto.Signer
	Issuer *Cert // nil for one that signed itself
}

// Template describes a certificate. The zero value of each field selects what its comment
// names.
type Template struct {
	Subject pkix.Name
	// Hosts are names and addresses that the certificate is good for.
	Hosts []string
	// NotAfter is a year from now by default.
	NotAfter time.Time
	CA       bool
	// RSA is for a key as many have one, with which to sign takes long.
	RSA bool
}

// New makes a certificate, signed by issuer, or by itself where that is nil.
func New(template Template, issuer *Cert) (*Cert, error) {
	var key crypto.Signer
	var err error
	if template.RSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber: serial, Subject: template.Subject,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: template.NotAfter,
		IsCA: template.CA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if template.CA {
		cert.KeyUsage |= x509.KeyUsageCertSign
	}
	if cert.NotAfter.IsZero() {
		cert.NotAfter = time.Now().AddDate(1, 0, 0)
	}
	for _, host := range template.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	parent, signer := cert, key
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", template.Subject, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Cert{Leaf: leaf, Key: key, Issuer: issuer}, nil
}

// chain are the certificates from the own one to the authority's.
func (c *Cert) chain() []*x509.Certificate {
	var chain []*x509.Certificate
	for at := c; at != nil; at = at.Issuer {
		chain = append(chain, at.Leaf)
	}
	return chain
}

// TLS is the certificate for package tls.
func (c *Cert) TLS() tls.Certificate {
	cert := tls.Certificate{PrivateKey: c.Key, Leaf: c.Leaf}
	for _, one := range c.chain() {
		cert.Certificate = append(cert.Certificate, one.Raw)
	}
	return cert
}

// Pool trusts this certificate.
func (c *Cert) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return pool
}

// KeyPEM is the key with its chain.
func (c *Cert) KeyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return append(b, TrustPEM(c.chain()...)...), nil
}

// TrustPEM are certificates one behind the other.
func TrustPEM(certs ...*x509.Certificate) []byte {
	var b []byte
	for _, cert := range certs {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return b
}

// KeyPKCS12 is a PKCS12 store with the key and its chain.
func (c *Cert) KeyPKCS12(password string) ([]byte, error) {
	return pkcs12.Modern.Encode(c.Key, c.Leaf, c.chain()[1:], password)
}

// TrustPKCS12 is a PKCS12 store that trusts this certificate, as Java marks it.
func (c *Cert) TrustPKCS12(password string) ([]byte, error) {
	return pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{c.Leaf}, password)
}

// KeyJKS is a JKS store with the key and its chain.
func (c *Cert) KeyJKS(alias, password string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, err
	}
	entry := keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der}
	for _, cert := range c.chain() {
		entry.CertificateChain = append(entry.CertificateChain, keystore.Certificate{Type: "X509", Content: cert.Raw})
	}
	ks := keystore.New()
	if err := ks.SetPrivateKeyEntry(alias, entry, []byte(password)); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = ks.Store(&b, []byte(password))
	return b.Bytes(), err
}

// TrustJKS is a JKS store that trusts this certificate.
func (c *Cert) TrustJKS(password string) ([]byte, error) {
	ks := keystore.New()
	entry := keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: c.Leaf.Raw}}
	if err := ks.SetTrustedCertificateEntry("ca", entry); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err := ks.Store(&b, []byte(password))
	return b.Bytes(), err
}

// Write puts what one of the methods above made into a file that only the owner can read.
// A file that exists is replaced as a whole, so that no reader sees half of it.
func Write(path string, content []byte, err error) error {
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ClientHello is what a client of any server says first. It can be said again and again, at no
// cost to who says it.
func ClientHello() ([]byte, error) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go func() { _ = tls.Client(ours, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	b := make([]byte, 16<<10)
	n, err := theirs.Read(b)
	return b[:n], err
}
