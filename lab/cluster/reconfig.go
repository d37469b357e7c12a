package cluster

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"zoolab/nemesis"
	"zoolab/zk"
)

// superuser is who reconfigures: nobody else may.
const superuser = "super:zoolab-nemesis"

// reconfigurable has the further lines of zoo.cfg that reconfigurations need.
func reconfigurable() []string {
	sum := sha1.Sum([]byte(superuser))
	return []string{
		"reconfigEnabled=true",
		"DigestAuthenticationProvider.superDigest=super:" + base64.StdEncoding.EncodeToString(sum[:]),
	}
}

// reconfigures reports whether members' servers will rewrite their configuration.
func (o *Options) reconfigures() bool { return slices.Contains(o.Faults, "reconfig") }

// Times of the sessions that ask for memberships and change them.
const (
	reconfigSession = 4 * time.Second
	reconfigConnect = time.Second
	reconfigClose   = 500 * time.Millisecond
)

// membership reads and changes the ensemble's membership, as a client.
type membership struct {
	members []Member
	topo    *topology

	// mu guards lines: each member's line in the membership, without its part, as
	// it was last seen. One that left comes back with it.
	mu    sync.Mutex
	lines map[int64]memberLine
}

// memberLine is what stands before and behind the part in server.N=ADDRESS:part;CLIENT.
type memberLine struct{ address, client string }

func newMembership(members []Member, topo *topology) *membership {
	return &membership{members: members, topo: topo, lines: make(map[int64]memberLine)}
}

// text is the line with a part.
func (l memberLine) text(id int64, part nemesis.Part) string {
	return fmt.Sprintf("server.%d=%s:%s;%s", id, l.address, part, l.client)
}

// Membership implements nemesis.Reconfigurer.
func (e *membership) Membership(ctx context.Context, member string) (out nemesis.Membership, err error) {
	i := slices.IndexFunc(e.members, func(m Member) bool { return m.Name == member })
	if i < 0 {
		return out, fmt.Errorf("cluster: no member %q", member)
	}
	err = withSession(ctx, e.members[i].Client, func(client *zk.Client) error {
		reply, err := client.GetConfig(ctx)
		if err == nil {
			out, err = e.parse(string(reply.Data))
		}
		return err
	})
	return out, err
}

// parse reads the text of a membership and keeps its lines.
func (e *membership) parse(text string) (nemesis.Membership, error) {
	out := nemesis.Membership{Version: -1, Parts: make(map[string]nemesis.Part)}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, line := range strings.Fields(text) {
		key, value, _ := strings.Cut(line, "=")
		if key == "version" {
			version, err := strconv.ParseInt(value, 16, 64)
			if err != nil {
				return out, fmt.Errorf("cluster: the membership's %q: %w", line, err)
			}
			out.Version = version
		}
		for i, m := range e.members {
			if key == fmt.Sprintf("server.%d", m.ID) {
				e.lines[m.ID], out.Parts[m.Name] = parseLine(value, e.topo.members[i].clientPort)
			}
		}
	}
	if out.Version < 0 {
		return out, fmt.Errorf("cluster: the membership has no version: %q", text)
	}
	return out, nil
}

// parseLine reads ADDRESS:part;CLIENT. Where zoo.cfg has the client port, CLIENT is
// missing; but a server that is to join must have it.
func parseLine(value string, clientPort uint16) (memberLine, nemesis.Part) {
	address, client, told := strings.Cut(value, ";")
	if !told {
		client = strconv.Itoa(int(clientPort))
	}
	part := nemesis.Participant
	if before, found := strings.CutSuffix(address, ":"+string(nemesis.Observer)); found {
		address, part = before, nemesis.Observer
	}
	return memberLine{address: strings.TrimSuffix(address, ":"+string(nemesis.Participant)), client: client}, part
}

// Reconfigure implements nemesis.Reconfigurer.
func (e *membership) Reconfigure(ctx context.Context, version int64, parts map[string]nemesis.Part) error {
	var change zk.Membership
	var servers []string
	e.mu.Lock()
	for _, m := range e.members {
		servers = append(servers, m.Client)
		part, asked := parts[m.Name]
		line, known := e.lines[m.ID]
		switch {
		case !asked:
		case part == nemesis.Absent:
			change.Leaving = append(change.Leaving, strconv.FormatInt(m.ID, 10))
		case !known:
			e.mu.Unlock()
			return fmt.Errorf("cluster: no member has yet shown the address of %s", m.Name)
		default:
			change.Joining = append(change.Joining, line.text(m.ID, part))
		}
	}
	e.mu.Unlock()
	return withSession(ctx, strings.Join(servers, ","), func(client *zk.Client) error {
		if err := client.AddAuth(ctx, "digest", []byte(superuser)); err != nil {
			return fmt.Errorf("cluster: authenticate for a reconfiguration: %w", err)
		}
		if _, err := client.Reconfig(ctx, change, version); err != nil {
			return fmt.Errorf("cluster: reconfigure: %w", err)
		}
		return nil
	})
}

// withSession calls f with a session of its own.
func withSession(ctx context.Context, servers string, f func(*zk.Client) error) error {
	client, err := zk.Connect(ctx, servers, zk.WithSessionTimeout(reconfigSession), zk.WithConnectTimeout(reconfigConnect))
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconfigClose)
		defer cancel()
		// Without an answer the server lets the session expire, which is as good.
		_ = client.Close(closing)
	}()
	return f(client)
}

// Readmit implements nemesis.Reconfigurer. The configuration of the start has all
// members. It is no danger that this is an old one: at most a minority has it, and
// a newer one is learnt from any other member.
func (l *localCluster) Readmit(_ context.Context, member string) error {
	l.mu.Lock()
	original := l.configs[member]
	l.mu.Unlock()
	return l.writeConfig(member, original)
}

func (l *localCluster) readConfig(member string) (string, error) {
	text, err := os.ReadFile(filepath.Join(l.memberDir(member), configName))
	if err != nil {
		return "", fmt.Errorf("cluster: configuration of %s: %w", member, err)
	}
	return string(text), nil
}

func (l *localCluster) writeConfig(member, text string) error {
	if err := os.WriteFile(filepath.Join(l.memberDir(member), configName), []byte(text), 0o644); err != nil {
		return fmt.Errorf("cluster: configuration of %s: %w", member, err)
	}
	return nil
}

// Readmit implements nemesis.Reconfigurer, as the local driver does.
func (d *dockerCluster) Readmit(ctx context.Context, member string) error {
	return d.writeConfig(ctx, member, d.config)
}

func (d *dockerCluster) readConfig(ctx context.Context, member string) (string, error) {
	return d.netExec(ctx, member, "cat", d.configTarget+"/"+configName)
}

func (d *dockerCluster) writeConfig(ctx context.Context, member, text string) error {
	_, err := d.netExec(ctx, member, "sh", "-c", `printf '%s' "$1" >"$2"`, "sh", text, d.configTarget+"/"+configName)
	return err
}

// giveConfigs lets the servers write their configurations, where they will.
func (d *dockerCluster) giveConfigs(ctx context.Context) error {
	if !d.opts.reconfigures() {
		return nil
	}
	return d.eachMember(func(_ int, m memberSpec) error {
		if m.node.User == "" {
			return nil // root
		}
		_, err := d.netExec(ctx, m.name, "chown", "-R", m.node.User, d.configTarget)
		return err
	})
}
