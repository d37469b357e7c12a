package jute

// QuorumAuthMagic begins a QuorumAuthPacket, by which a member tells it from whatever else
// may come first: from a quorum packet, and from a notification of the election.
const QuorumAuthMagic int64 = 0x5f243501_3501edcc

// States of a QuorumAuthPacket.
const (
	QuorumAuthInProgress int32 = 0 // also everything that the member which calls says
	QuorumAuthSuccess    int32 = 1
	QuorumAuthError      int32 = -1
)
