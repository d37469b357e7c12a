// Package tlsconf makes TLS configurations from Apache ZooKeeper's ssl.* settings and
// the key stores that Java programs use: JKS, PKCS12 and PEM.
//
// Settings are what zoo.cfg says (ssl.*, ssl.quorum.*) or what a client is given. Open
// reads the stores; a Stores then makes the configuration of a server, and that of a
// client for each host that it dials. Stores that change on disk are read again, at the
// first handshake that comes more than a second after the last look: there is no
// goroutine to stop. A changed store that can't be read is logged once, and the
// certificates of before stay in use.
//
// What an operator may get wrong comes back as an *Error, which names the setting and says
// what to do. Expired certificates are logged, and are no error: who checks them is the
// other side.
//
// Differences from Java, for the better or because of Go's library:
//
//   - without ssl.protocol and ssl.enabledProtocols both TLS 1.2 and TLS 1.3 are offered;
//     older versions never are;
//   - the three cipher suites of TLS 1.3 can only be chosen together;
//   - sessions are not resumed, so that a changed trust store counts at once;
//   - a trusted certificate that has expired is trusted no more;
//   - revocation (ssl.crl, ssl.ocsp) is not supported and refused.
//
// All methods of a Stores are safe for concurrent use.
package tlsconf
