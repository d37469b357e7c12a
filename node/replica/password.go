package replica

import "encoding/binary"

// sessionSecret is what every member of every ZooKeeper ensemble mixes into a session's
// password, so that sessions can move between them (SessionTrackerImpl's superSecret).
const sessionSecret = 0xB3415C00

// Password returns the 16 bytes that a client must show to re-attach to a session:
// the output of java.util.Random seeded with the session's id and the secret.
func Password(session int64) []byte {
	// The generator is the 48-bit linear congruential one of the Java specification.
	const multiplier, increment, mask = 0x5DEECE66D, 0xB, 1<<48 - 1
	state := (uint64(session) ^ sessionSecret ^ multiplier) & mask
	out := make([]byte, 16)
	for i := 0; i < len(out); i += 4 {
		state = (state*multiplier + increment) & mask
		// nextBytes hands out each int from its lowest byte.
		binary.LittleEndian.PutUint32(out[i:], uint32(state>>16))
	}
	return out
}

// firstSessionID returns the id from which a member counts up, as Apache derives it:
// the member's id in the highest byte, then the time, then a counter.
func firstSessionID(sid, nowMs int64) int64 {
	id := int64(uint64(nowMs<<24)>>8) | sid<<56
	if id == -1<<63 {
		id++ // this value marks container nodes as an ephemeral owner
	}
	return id
}
