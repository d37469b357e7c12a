package zk_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"zoolab/zk"
)

// certificate makes a self-signed certificate for a host.
func certificate(t *testing.T, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// TestWithTLS connects to a server of its own over TCP, and checks that the certificate
// must be good for the host of the connect string.
func TestWithTLS(t *testing.T) {
	cert, pool := certificate(t, "first.example")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	connect := func(server string, accepted func(*peer)) (*zk.Client, error) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		served := make(chan struct{})
		go func() {
			defer close(served)
			conn, err := listener.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			if err := conn.(*tls.Conn).HandshakeContext(ctx); err != nil {
				conn.Close()
				return
			}
			accepted(&peer{t: t, conn: conn, r: bufio.NewReader(conn)})
		}()
		defer func() { <-served }()
		attempts := 0
		dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
			if attempts++; attempts > 1 {
				cancel() // one refusal is enough
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
		}
		return zk.Connect(ctx, server, zk.WithDialer(dial), zk.WithTLS(&tls.Config{RootCAs: pool}), zk.WithConnectTimeout(time.Minute))
	}

	var server *peer
	client, err := connect("first.example:2281", func(p *peer) {
		server = p
		p.welcome(sessionID)
	})
	if err != nil {
		t.Fatal(err)
	}
	leave(client, server)

	client, err = connect("second.example:2281", func(*peer) { t.Error("the client took a certificate for another host") })
	if err == nil {
		client.Detach()
		t.Fatal("connected to a host that the certificate is not for")
	}
	if want := "certificate is valid for first.example, not second.example"; !strings.Contains(err.Error(), want) {
		t.Errorf("the error is %q, want it to say %q", err, want)
	}
}
