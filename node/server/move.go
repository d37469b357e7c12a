package server

import (
	"errors"
	"net"
	"slices"
	"time"
)

// moveRetry is how long a port that can't be opened waits for the next try.
const moveRetry = 500 * time.Millisecond

// Move gives the plain port another address; connected clients stay. It returns at once. A
// port that can't be opened is tried until it can, or until it is to be elsewhere again:
// meanwhile nobody new comes in. It must not be called beside Shutdown.
func (s *Server) Move(address string) {
	s.mu.Lock()
	s.moves++
	move := s.moves
	s.mu.Unlock()
	s.running.Go(func() {
		for tries := 0; ; tries++ {
			p, err := s.reopen(address, move)
			if err == nil {
				s.log.Info("moved the client port", "address", address)
				s.accept(p)
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if tries == 0 {
				s.log.Error("can't open the client port to which this member was moved, trying again", "address", address, "err", err)
			}
			time.Sleep(moveRetry)
		}
	})
}

// reopen closes the plain port and opens it at an address, unless it was moved again or the
// server shuts down: then the error is net.ErrClosed. The old one is closed first, for the
// new one may be the same port of other addresses.
func (s *Server) reopen(address string, move int) (port, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.moves != move {
		return port{}, net.ErrClosed
	}
	wants := s.plainWants()
	s.ports = slices.DeleteFunc(s.ports, func(p port) bool {
		if p.wants == secure {
			return false
		}
		_ = p.Close()
		return true
	})
	l, err := net.Listen("tcp", address)
	if err != nil {
		return port{}, err
	}
	p := port{l, wants}
	s.ports = append(s.ports, p)
	return p, nil
}

// plainWants is what the plain port takes.
func (s *Server) plainWants() encryption {
	if s.cfg.TLS != nil && s.cfg.TLS.OnPlainPort {
		return either
	}
	return plain
}
