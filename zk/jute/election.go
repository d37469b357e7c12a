package jute

// PeerState is a member's role in a notification.
type PeerState int32

// The roles a notification can carry.
const (
	Looking   PeerState = 0
	Following PeerState = 1
	Leading   PeerState = 2
	Observing PeerState = 3
)

// String returns the role in capitals, as logs and metrics write it.
func (s PeerState) String() string {
	switch s {
	case Looking:
		return "LOOKING"
	case Following:
		return "FOLLOWING"
	case Leading:
		return "LEADING"
	case Observing:
		return "OBSERVING"
	}
	return "UNKNOWN"
}

// MaxElectionMessageBytes bounds a frame of the election port (512 KiB, as in QuorumCnxManager).
const MaxElectionMessageBytes = 512 << 10

// notificationVersion is the newest form of a notification: with peer epoch and configuration.
const notificationVersion = 2

// Notification is a vote as it travels between election ports, without the frame's length.
// The sender is known from the connection.
type Notification struct {
	State         PeerState
	Leader        int64  // proposed leader's sid
	Zxid          int64  // proposed leader's last zxid
	ElectionEpoch int64  // the sender's logical clock
	PeerEpoch     int64  // proposed leader's epoch
	Version       int32  // 0x0 for the 28- and 40-byte forms of old members, else 1 or 2
	Config        []byte // membership text, nil where the form has none
}

// Append adds the newest wire form to b.
func (n *Notification) Append(b []byte) []byte {
	b = AppendInt32(b, int32(n.State))
	b = AppendInt64(b, n.Leader)
	b = AppendInt64(b, n.Zxid)
	b = AppendInt64(b, n.ElectionEpoch)
	b = AppendInt64(b, n.PeerEpoch)
	b = AppendInt32(b, notificationVersion)
	b = AppendInt32(b, int32(len(n.Config)))
	return append(b, n.Config...)
}

// Decode reads any of the forms that members since 3.4 send: 28 bytes (without peer
// epoch: it is the zxid's), 40 bytes (with it), and the newest with a configuration.
func (n *Notification) Decode(d *Decoder) {
	size := d.Len()
	n.State = PeerState(d.Int32())
	n.Leader = d.Int64()
	n.Zxid = d.Int64()
	n.ElectionEpoch = d.Int64()
	n.PeerEpoch = n.Zxid >> 32
	n.Version, n.Config = 0, nil
	if n.State < Looking || n.State > Observing {
		d.fail("no member state %d", n.State)
	}
	if size == 28 {
		return
	}
	n.PeerEpoch = d.Int64()
	n.Version = d.Int32()
	if size == 40 {
		return
	}
	if n.Version > 1 {
		n.Config = d.Buffer()
	}
}

// Protocol versions of the first message on an election connection.
const (
	ElectionProtocolV1 int64 = -65536 // one address
	ElectionProtocolV2 int64 = -65535 // several addresses, separated by |
)

// MaxInitialMessageBytes bounds the address part of an InitialMessage.
const MaxInitialMessageBytes = 2048

// InitialMessage opens an election connection: who is calling, and where it can be
// called back. A first long that is not negative is a bare sid of an old member.
type InitialMessage struct {
	ProtocolVersion int64
	ServerID        int64
	Addresses       string // "host:port", with | between several under V2
}

// Append adds the message's wire form to b: under a version that is not negative, the
// bare sid that Decode found there.
func (m *InitialMessage) Append(b []byte) []byte {
	b = AppendInt64(b, m.ProtocolVersion)
	if m.ProtocolVersion >= 0 {
		return b
	}
	b = AppendInt64(b, m.ServerID)
	return AppendString(b, m.Addresses)
}

// Decode reads the message.
func (m *InitialMessage) Decode(d *Decoder) {
	m.ProtocolVersion = d.Int64()
	m.ServerID, m.Addresses = 0, ""
	if d.err == nil && m.ProtocolVersion >= 0 {
		m.ServerID = m.ProtocolVersion
		return
	}
	if m.ProtocolVersion != ElectionProtocolV1 && m.ProtocolVersion != ElectionProtocolV2 {
		d.fail("election protocol version %d", m.ProtocolVersion)
		return
	}
	m.ServerID = d.Int64()
	if m.Addresses = d.String(); len(m.Addresses) > MaxInitialMessageBytes {
		d.fail("address of %d bytes", len(m.Addresses))
	}
}
