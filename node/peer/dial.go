package peer

import (
	"context"
	"errors"
	"net"
	"time"
)

// bindAgain is how long a port whose name could not be resolved waits for the next try.
const bindAgain = time.Second

// listen opens one port on all of this member's addresses. One whose name can't be resolved
// is tried again until it can, since name services start late; the others serve meanwhile.
func (t *Transport) listen(port string, addresses []string, serve func(*unproven)) error {
	if t.cfg.ListenOnAllIPs {
		all, err := onAllIPs(addresses)
		if err != nil {
			return err
		}
		addresses = all
	}
	t.mu.Lock()
	generation := t.generation[port]
	t.mu.Unlock()
	for _, address := range addresses {
		err := t.bind(port, address, generation, serve)
		var unresolved *net.DNSError
		switch {
		case errors.As(err, &unresolved):
			t.log.Warn("can't resolve this member's own name, trying again: no peer can connect to this address until then",
				"port", port, "address", address, "err", err)
			t.running.Go(func() { t.bindUntilResolved(port, address, generation, serve) })
		case err != nil:
			return err
		}
	}
	return nil
}

// listenPatiently is listen for the start, when nobody can go on without the port.
func (t *Transport) listenPatiently(port string, addresses []string, serve func(*unproven)) error {
	for attempt := 1; ; attempt++ {
		err := t.listen(port, addresses, serve)
		if err == nil || attempt == t.cfg.BindAttempts {
			return err
		}
		t.log.Warn("can't open a port for peers, trying again", "port", port, "addresses", addresses, "attempt", attempt, "err", err)
		t.mu.Lock()
		t.closePort(port) // what was opened of it
		t.mu.Unlock()
		time.Sleep(bindRetry)
	}
}

// bindRetry is the pause that Apache's server makes, too.
const bindRetry = time.Second

// onAllIPs replaces hosts by all addresses of the machine, once for each port.
func onAllIPs(addresses []string) ([]string, error) {
	var all []string
	seen := make(map[string]bool)
	for _, address := range addresses {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if !seen[port] {
			seen[port] = true
			all = append(all, net.JoinHostPort("", port))
		}
	}
	return all, nil
}

// errPortClosed means that the port is not to be opened any more: it was moved elsewhere,
// or the member stops.
var errPortClosed = errors.New("the port is not wanted any more")

func (t *Transport) bind(port, address string, generation int, serve func(*unproven)) error {
	l, err := new(net.ListenConfig).Listen(t.ctx, "tcp", address)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil || t.generation[port] != generation {
		_ = l.Close()
		return errPortClosed
	}
	t.listeners[port] = append(t.listeners[port], l)
	t.running.Go(func() { t.accept(l, port, serve) })
	return nil
}

// bindUntilResolved opens a port as soon as its name resolves, unless it is moved before.
func (t *Transport) bindUntilResolved(port, address string, generation int, serve func(*unproven)) {
	told := ""
	for {
		select {
		case <-time.After(bindAgain):
		case <-t.ctx.Done():
			return
		}
		err := t.bind(port, address, generation, serve)
		var unresolved *net.DNSError
		switch {
		case errors.Is(err, errPortClosed) || t.ctx.Err() != nil:
			return
		case err == nil:
			t.log.Info("this member's own name resolves now", "port", port, "address", address)
			return
		case !errors.As(err, &unresolved) && err.Error() != told:
			told = err.Error()
			t.log.Error("can't open a port for peers, trying again", "port", port, "address", address, "err", err)
		}
	}
}

// dial opens a connection to a member: to that of its addresses which answers first. Names
// are resolved anew each time, so that a member may move.
func (t *Transport) dial(ctx context.Context, addresses []string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.DialTimeout)
	defer cancel()
	if len(addresses) == 1 {
		return t.dialAddress(ctx, addresses[0])
	}
	type outcome struct {
		c   net.Conn
		err error
	}
	outcomes := make(chan outcome, len(addresses))
	for _, address := range addresses {
		t.running.Go(func() {
			c, err := t.dialAddress(ctx, address)
			outcomes <- outcome{c, err}
		})
	}
	var won net.Conn
	var errs []error
	for range addresses {
		switch o := <-outcomes; {
		case o.err != nil:
			errs = append(errs, o.err)
		case won == nil:
			won = o.c
			cancel() // the others' attempts
		default:
			_ = o.c.Close()
		}
	}
	if won == nil {
		return nil, errors.Join(errs...)
	}
	return won, nil
}

func (t *Transport) dialAddress(ctx context.Context, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", t.resolved(ctx, address))
	if err != nil {
		return nil, err
	}
	t.tune(c)
	secured, err := t.shake(ctx, c, address)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return secured, nil
}
