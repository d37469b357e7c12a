package cluster

import (
	"fmt"
	"net"
	"net/netip"
)

// subnetTries bounds the search for a free subnet.
const subnetTries = 24

// candidateSubnet is the try-th subnet that a run may take. Runs start at
// different places, so that two labs seldom meet, and step by a number that
// visits all of them.
func candidateSubnet(run string, try, bits int) netip.Prefix {
	second := 112 + (runByte(run)+try*29)%112
	third := (runByte(run)*7 + try*53) % 256
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(second), byte(third), 0}), bits)
}

// overlapsInterface reports whether an interface of this host has an address in
// the subnet, or the subnet lies inside one of its own.
func overlapsInterface(prefix netip.Prefix) (bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("cluster: interface addresses: %w", err)
	}
	for _, addr := range addrs {
		if other, err := netip.ParsePrefix(addr.String()); err == nil && other.Overlaps(prefix) {
			return true, nil
		}
	}
	return false, nil
}
