package zk

import (
	"context"
	"strings"

	"zoolab/zk/jute"
)

// GetEphemerals lists the session's ephemeral znodes whose path starts with prefix.
func (c *Client) GetEphemerals(ctx context.Context, prefix string) ([]string, Reply, error) {
	if err := checkPath(prefix); err != nil {
		return nil, Reply{}, refuse(jute.OpGetEphemerals, prefix, err)
	}
	var resp jute.GetEphemeralsResponse
	reply, err := c.do(ctx, &call{op: jute.OpGetEphemerals, path: prefix, resp: &resp,
		req: &jute.GetEphemeralsRequest{PrefixPath: c.serverPath(prefix)}})
	if err != nil {
		return nil, reply, err
	}
	paths := resp.Ephemerals[:0]
	for _, path := range resp.Ephemerals {
		if path == c.chroot || strings.HasPrefix(path, c.chroot+"/") {
			paths = append(paths, c.clientPath(path))
		}
	}
	return paths, reply, nil
}

// AllChildrenNumber counts the znodes below path.
func (c *Client) AllChildrenNumber(ctx context.Context, path string) (int, Reply, error) {
	if err := checkPath(path); err != nil {
		return 0, Reply{}, refuse(jute.OpGetAllChildrenNumber, path, err)
	}
	var resp jute.GetAllChildrenNumberResponse
	reply, err := c.do(ctx, &call{op: jute.OpGetAllChildrenNumber, path: path, resp: &resp,
		req: &jute.GetAllChildrenNumberRequest{Path: c.serverPath(path)}})
	if err != nil {
		return 0, reply, err
	}
	return int(resp.TotalNumber), reply, nil
}

// ClientInfo is one identity of the session.
type ClientInfo = jute.ClientInfo

// WhoAmI lists the session's identities.
func (c *Client) WhoAmI(ctx context.Context) ([]ClientInfo, Reply, error) {
	var resp jute.WhoAmIResponse
	reply, err := c.do(ctx, &call{op: jute.OpWhoAmI, resp: &resp})
	if err != nil {
		return nil, reply, err
	}
	return resp.ClientInfo, reply, nil
}

// configPath is where servers keep the ensemble's configuration. No chroot applies.
const configPath = "/zookeeper/config"

// GetConfig reads the ensemble's configuration: lines of the form
// "server.1=host:2888:3888:participant;2181" and a last one "version=" with a
// hexadecimal number.
func (c *Client) GetConfig(ctx context.Context) (DataReply, error) {
	return c.getAt(ctx, configPath, configPath, nil)
}

// GetConfigW reads the ensemble's configuration and watches it, as GetW does.
func (c *Client) GetConfigW(ctx context.Context) (DataReply, <-chan Event, error) {
	w := newWatch(watchData, configPath)
	reply, err := c.getAt(ctx, configPath, configPath, w)
	if err != nil {
		return reply, nil, err
	}
	return reply, w.events, nil
}

// AnyConfig lets Reconfig change whatever configuration there is.
const AnyConfig int64 = -1

// Membership is a change of the ensemble's members: either Members, or Joining and
// Leaving.
type Membership struct {
	// Joining are servers to add or to change, as "server.4=host:2888:3888;2181".
	Joining []string
	// Leaving are the ids of servers to remove.
	Leaving []string
	// Members are all servers of the new ensemble, in the form of Joining.
	Members []string
}

// Reconfig changes the ensemble's members if its configuration is at the version,
// which is hexadecimal in the text of GetConfig; AnyConfig matches all. The result is
// the new configuration.
func (c *Client) Reconfig(ctx context.Context, change Membership, version int64) (DataReply, error) {
	list := func(items []string) *string {
		if len(items) == 0 {
			return nil
		}
		joined := strings.Join(items, ",")
		return &joined
	}
	var resp getDataResponse
	reply, err := c.do(ctx, &call{op: jute.OpReconfig, resp: &resp, changes: true, req: &jute.ReconfigRequest{
		JoiningServers: list(change.Joining), LeavingServers: list(change.Leaving),
		NewMembers: list(change.Members), CurConfigID: version}})
	if err != nil {
		return DataReply{Reply: reply}, err
	}
	return DataReply{Reply: reply, Data: resp.Data, Stat: resp.Stat}, nil
}
