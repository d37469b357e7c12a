package zab

import (
	"fmt"

	"zoolab/zk/jute"
)

// z prints a zxid as epoch.counter.
func z(zxid int64) string {
	if zxid < 0 {
		return "-"
	}
	return fmt.Sprintf("%d.%d", epochOf(zxid), counterOf(zxid))
}

func describeVote(n jute.Notification) string {
	return fmt.Sprintf("%v, leader %d, zxid %s, round %d, epoch %d", n.State, n.Leader, z(n.Zxid), n.ElectionEpoch, n.PeerEpoch)
}

func describePacket(p jute.QuorumPacket) string {
	switch p.Type {
	case jute.PacketAckEpoch:
		d := jute.NewDecoder(p.Data)
		return fmt.Sprintf("%v %s, current epoch %d", p.Type, z(p.Zxid), d.Int32())
	case jute.PacketUpToDate:
		return p.Type.String()
	}
	return fmt.Sprintf("%v %s", p.Type, z(p.Zxid))
}

func describeEffect(e Effect) string {
	switch e := e.(type) {
	case SendNotification:
		return fmt.Sprintf("vote to %d: %s", e.To, describeVote(e.N))
	case Dial:
		if e.Master {
			return fmt.Sprintf("observe %d", e.To)
		}
		return fmt.Sprintf("dial %d", e.To)
	case Send:
		return fmt.Sprintf("send on %d: %s", e.Conn, describePacket(e.Packet))
	case SendSnapshot:
		return fmt.Sprintf("send on %d: snapshot", e.Conn)
	case Close:
		return fmt.Sprintf("close %d: %s", e.Conn, e.Reason)
	case ReadHistory:
		return fmt.Sprintf("read the log behind %s", z(e.After))
	case Append:
		return fmt.Sprintf("append %s", z(e.Zxid))
	case SaveAcceptedEpoch:
		return fmt.Sprintf("save accepted epoch %d", e.Epoch)
	case SaveCurrentEpoch:
		return fmt.Sprintf("save current epoch %d", e.Epoch)
	case Truncate:
		return fmt.Sprintf("truncate to %s", z(e.Zxid))
	case InstallSnapshot:
		return fmt.Sprintf("install snapshot %s", z(e.Zxid))
	case Deliver:
		return fmt.Sprintf("deliver %s", z(e.Zxid))
	case RoleChanged:
		switch e.Role {
		case RoleLooking:
			return e.Role.String()
		case RoleFollowing, RoleLeading:
			return fmt.Sprintf("%v under %d", e.Role, e.Leader)
		}
		return fmt.Sprintf("%v under %d in epoch %d", e.Role, e.Leader, e.Epoch)
	case LearnerEstablished:
		return fmt.Sprintf("learner %d established", e.SID)
	case LearnerGone:
		return fmt.Sprintf("learner %d gone", e.SID)
	case FromLearner:
		return fmt.Sprintf("from learner %d: %s", e.SID, describePacket(e.Packet))
	case FromLeader:
		return "from leader: " + describePacket(e.Packet)
	case LeadershipConfirmed:
		return fmt.Sprintf("leadership confirmed for %d", e.Token)
	}
	panic(fmt.Sprintf("no effect has type %T", e))
}
