// Package sasl is the mechanism DIGEST-MD5 (RFC 2831) in both roles, as the
// DigestLoginModule set-ups of ZooKeeper use it, and the reader of the JAAS files that
// hold its users.
//
// An exchange is four messages, the first of them empty: client "", server challenge,
// client response, server proof. On a client port they travel in the records
// GetSASLRequest and SetSASLResponse of operation 102; between members in the quorum's
// authentication packets. Either side calls Step with each message it gets and sends
// what Step returns; Done says when the exchange is over. Only the quality of
// protection "auth" is spoken: no message after the exchange is signed or sealed.
//
// The mechanism is old. It keeps the password off the wire, and no more: it uses MD5,
// and the server must hold the passwords in clear. Use it inside TLS.
//
// # Purity and concurrency
//
// The package does no I/O and draws no randomness: the caller passes each exchange a
// nonce that it drew from a cryptographic source and never uses again. A Client or a
// Server belongs to one goroutine at a time.
package sasl
