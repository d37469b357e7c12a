package main

import "runtime"

// roomBytes is the least that is allocated between two collections.
const roomBytes = 16 << 20

// giveRoom lets the collector wait for roomBytes of garbage, until the function that it
// returns is called. Go collects when the heap has doubled: a server with a small tree would
// spend a tenth of its processor time on collecting every few megabytes. So the heap gets a
// piece that counts and costs nothing, since memory that nobody touches is not resident.
func giveRoom() (release func()) {
	room := make([]byte, roomBytes)
	return func() { runtime.KeepAlive(room) }
}
