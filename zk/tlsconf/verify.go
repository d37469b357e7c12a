package tlsconf

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// verifyServer checks the certificate of a server, and that it is good for the host.
func (s *Stores) verifyServer(l *loaded, host string, state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server showed no certificate")
	}
	leaf := state.PeerCertificates[0]
	options := x509.VerifyOptions{Roots: l.roots, Intermediates: x509.NewCertPool(), CurrentTime: s.now()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := leaf.Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
	}
	if s.settings.NoHostnameVerification {
		return nil
	}
	return goodFor(leaf, host)
}

// goodFor checks that a certificate is good for a name or an address. One without
// alternative names is good for its common name, as for Java's ZooKeeper: the
// administrator's guide makes such certificates.
func goodFor(cert *x509.Certificate, host string) error {
	host = strings.TrimSuffix(host, ".")
	names := cert
	if len(cert.DNSNames) == 0 && len(cert.IPAddresses) == 0 {
		names = new(x509.Certificate)
		if ip := net.ParseIP(cert.Subject.CommonName); ip != nil {
			names.IPAddresses = []net.IP{ip}
		} else if cert.Subject.CommonName != "" {
			names.DNSNames = []string{cert.Subject.CommonName}
		}
	}
	if err := names.VerifyHostname(host); err != nil {
		return fmt.Errorf("%w (the certificate's subject is %q)", err, cert.Subject.String())
	}
	return nil
}

// verifyClientHost checks that a client's certificate is good for the address that it
// comes from, or for a name of that address.
func (s *Stores) verifyClientHost(ctx context.Context, cert *x509.Certificate, from net.Addr) error {
	at, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return fmt.Errorf("the client's address %s: %w", from, err)
	}
	address := at.Addr().Unmap().WithZone("").String()
	err = goodFor(cert, address)
	if err == nil || !s.settings.ReverseDNS {
		return err
	}
	names, lookupErr := net.DefaultResolver.LookupAddr(ctx, address)
	if lookupErr != nil {
		return errors.Join(err, lookupErr)
	}
	for _, name := range names {
		nameErr := goodFor(cert, name)
		if nameErr == nil {
			return nil
		}
		err = errors.Join(err, nameErr)
	}
	return err
}
