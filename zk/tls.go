package zk

import (
	"context"
	"crypto/tls"
	"net"
)

// dialServer opens a connection to a server, encrypted where WithTLS asks for it.
func (c *Client) dialServer(ctx context.Context, server string) (net.Conn, error) {
	conn, err := c.dial(ctx, "tcp", server)
	if err != nil || c.tls == nil {
		return conn, err
	}
	config := c.tls
	if config.ServerName == "" {
		host, _, err := net.SplitHostPort(server)
		if err != nil {
			host = server
		}
		config = config.Clone()
		config.ServerName = host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}
