package peer

import (
	"context"
	"net"
	"net/netip"
	"time"
)

const (
	// resolveTimeout is how long a name may take to resolve before it stands for what it was last.
	resolveTimeout = time.Second
	// learnNamesEvery is how often the names of all members are resolved, so that what they were
	// last is known.
	learnNamesEvery = time.Minute
	// learnNamesAgain is when those that can't be resolved yet are tried again.
	learnNamesAgain = 5 * time.Second
)

// learnNames keeps knowing the members' addresses: which one will lead when name services fail
// nobody knows, and it may be one that this member never called. Who calls from there is taken for
// a member where strangers call, too; not so what strangers say where they can be called.
func (t *Transport) learnNames() {
	for {
		t.mu.Lock()
		var addresses []string
		for _, of := range t.members {
			addresses = append(append(addresses, of.Quorum...), of.Election...)
		}
		t.mu.Unlock()
		pause := learnNamesEvery
		for _, address := range addresses {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				continue
			}
			found, err := t.lookup(t.ctx, host)
			if err != nil {
				pause = learnNamesAgain
			}
			for _, host := range found {
				if ip, err := netip.ParseAddr(host); err == nil {
					t.trust(ip.Unmap().String()) // as hostOf has it
				}
			}
		}
		select {
		case <-time.After(pause):
		case <-t.ctx.Done():
			return
		}
	}
}

// lookup resolves a name and remembers to what.
func (t *Transport) lookup(ctx context.Context, host string) (found []string, err error) {
	found, err = net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.known[host] = found[0]
	t.mu.Unlock()
	return found, nil
}

// resolved returns what to dial for an address: while its name can't be resolved, what that was
// last. A leader that is lost while name services fail is replaced nevertheless.
func (t *Transport) resolved(ctx context.Context, address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	if _, err = t.lookup(ctx, host); err == nil {
		return address
	}
	t.mu.Lock()
	last := t.known[host]
	t.mu.Unlock()
	if last == "" {
		return address
	}
	t.seldom(host, "can't resolve a peer's name, calling it where it was last", "name", host, "last", last, "err", err)
	return net.JoinHostPort(last, port)
}
