package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestMessages compares all errors and warnings for wrong configurations with
// testdata/messages, which `go test -rewrite` writes anew. Commands:
//
//	parse [myid=<content>] [env=<ZOO_MY_ID>]   the input is /etc/zoo.cfg, with dataDir=/data
//	file path=<path>                           the input is a file for later parses
//	parse flags=<word> ...                     with these words in SERVER_JVMFLAGS
//	auth                                       as parse, but shows what follows about clients
//	quorumsasl                                 as parse, but shows what follows for SASL between members
//	membership                                 the input arrives in a packet
func TestMessages(t *testing.T) {
	datadriven.Walk(t, "testdata/messages", func(t *testing.T, path string) {
		known := files{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "file":
				var name string
				d.ScanArgs(t, "path", &name)
				known[name] = d.Input
				return ""
			case "membership":
				m, err := ParseMembership("the leader's packet", d.Input)
				if err != nil {
					return err.Error()
				}
				checkRoundTrip(t, m)
				return m.Text()
			}
			delete(known, "/data/myid")
			var env Environment
			for _, arg := range d.CmdArgs {
				value := strings.Join(arg.Vals, "")
				switch arg.Key {
				case "myid":
					known["/data/myid"] = value + "\n"
				case "flags":
					env.JavaFlags = append(env.JavaFlags, value)
				default:
					env.MyID = value
				}
			}
			c, warnings, err := Parse("/etc/zoo.cfg", "dataDir=/data\n"+d.Input, Options{ReadFile: known.read, Env: env})
			var out strings.Builder
			for _, warning := range warnings {
				fmt.Fprintf(&out, "warning: %v\n", warning)
			}
			if err != nil {
				return out.String() + err.Error()
			}
			if d.Cmd == "auth" {
				fmt.Fprintf(&out, "%+v", c.Auth)
				return out.String()
			}
			if d.Cmd == "quorumsasl" {
				fmt.Fprintf(&out, "%+v", c.Ensemble.SASL)
				return out.String()
			}
			fmt.Fprintf(&out, "id %d, %v, clients on %v, distributed %v, quorum: %v", c.MyID, c.Role, c.Clients.Addr, c.Distributed, c.Verifier())
			return out.String()
		})
	})
}
