package conformance

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Generate makes a section of so many steps: three sessions that do everything to few
// znodes, so that they meet. The same seed makes the same section. It does nothing whose
// answer depends on time, or on the order of a hash table.
func Generate(seed uint64, steps int) *Section {
	g := generator{r: rand.New(rand.NewPCG(seed, seed)), section: &Section{Name: fmt.Sprintf("seed %d", seed)}}
	for _, name := range []string{"a", "b", "c"} {
		g.sessions = append(g.sessions, &generated{name: name})
	}
	first := g.sessions[0]
	g.line(first, "connect timeout=40000")
	first.connected = true
	for _, path := range []string{"/g", "/g/a", "/h"} {
		g.line(first, "create %s", path)
	}
	for len(g.section.Steps) < steps {
		g.next()
	}
	return g.section
}

type generator struct {
	r        *rand.Rand
	section  *Section
	sessions []*generated
}

// generated is a session of a generated section.
type generated struct {
	name      string
	connected bool
	known     bool // there was a connection before, which was dropped
	unsent    int
}

func (g *generator) line(s *generated, format string, args ...any) {
	line := s.name + " " + fmt.Sprintf(format, args...)
	g.section.Steps = append(g.section.Steps, &Step{Line: line})
}

func (g *generator) one(of ...string) string { return of[g.r.IntN(len(of))] }

// chance is true once in n times.
func (g *generator) chance(n int) bool { return g.r.IntN(n) == 0 }

func (g *generator) next() {
	s := g.sessions[g.r.IntN(len(g.sessions))]
	switch {
	case !s.connected && s.known && g.chance(2):
		g.line(s, "connect session=%s timeout=40000", s.name)
		s.connected = true
		g.line(s, "%s", g.watchesAgain())
	case !s.connected:
		g.line(s, "connect timeout=40000")
		s.connected = true
		if g.chance(2) {
			g.line(s, `auth digest "%s:pw"`, g.one("bob", "eve"))
		}
	case s.unsent > 0 && g.chance(3):
		g.line(s, "recv")
		s.unsent = 0
	case s.unsent > 0 || g.chance(12):
		g.line(s, "send %s", g.request())
		s.unsent++
	case g.chance(40):
		// The znodes of a session end in the order of a hash table. Who watches them must
		// not read of it later, in a step that is not sorted.
		for _, other := range g.sessions {
			if other.unsent > 0 {
				g.line(other, "recv")
				other.unsent = 0
			}
		}
		g.line(s, "closeSession unordered")
		s.connected, s.known = false, false
	case g.chance(40):
		g.line(s, "drop")
		s.connected, s.known, s.unsent = false, true, 0
	default:
		g.line(s, "%s", g.request())
	}
}

func (g *generator) path() string {
	return g.one("/g", "/g/a", "/g/a", "/g/a", "/g/b", "/g/b", "/g/a/x", "/g/a/x", "/g/b/x", "/h", "/h/s-0000000000", "/none/x")
}

func (g *generator) version() string {
	return g.one("", "", "", " v=0", " v=1", " v=2")
}

func (g *generator) data() string {
	return g.one("", ` data="1"`, ` data="22"`, ` data="333"`, " data=null", " data=zeros:500")
}

func (g *generator) acl() string {
	if !g.chance(6) {
		return ""
	}
	return " acl=" + g.one("auth::cdrwa", "world:anyone:r", "world:anyone:cdrw", "auth::rw|world:anyone:rcda", "digest:bob:x:r|world:anyone:cdwa", "ip:127.0.0.1:cdrwa", "empty", "nobody:x:r")
}

func (g *generator) watch() string { return g.one("", " watch") }

func (g *generator) create() string {
	end := g.data() + g.acl()
	switch g.r.IntN(8) {
	case 0:
		return "create " + g.one("/h/s-", "/g/a/q-", "/h/") + end + " flags=" + g.one("2", "3")
	case 1:
		return "create " + g.path() + end + " flags=1"
	case 2:
		return "create2 " + g.path() + end + g.one("", " flags=1")
	case 3:
		return "createContainer " + g.path() + end
	case 4:
		return "createTTL " + g.path() + end + g.one("", " ttl=0", " ttl=99999999")
	}
	return "create " + g.path() + end
}

func (g *generator) change() string {
	switch g.r.IntN(8) {
	case 0, 1, 2:
		return "setData " + g.path() + g.data() + g.version()
	case 3:
		return "delete " + g.path() + g.version()
	}
	return g.create()
}

func (g *generator) part() string {
	if g.chance(6) {
		return "check " + g.path() + g.version()
	}
	return g.change()
}

func (g *generator) request() string {
	switch g.r.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		return g.change()
	case 6, 7:
		return "multi " + g.joined(g.part)
	case 8:
		return "multiRead " + g.joined(func() string { return g.one("getData ", "getChildren ") + g.path() })
	case 9, 10:
		return "exists " + g.path() + g.watch()
	case 11:
		return "getData " + g.path() + g.watch()
	case 12, 13:
		return g.one("getChildren ", "getChildren2 ") + g.path() + g.watch()
	case 14:
		return g.one("getACL "+g.path(), "setACL "+g.path()+g.acl()+g.version())
	case 15:
		return "addWatch " + g.path() + " mode=" + g.one("0", "1")
	case 16:
		return g.one("removeWatches ", "checkWatches ") + g.path() + " type=" + g.one("1", "2", "3")
	case 17:
		return g.watchesAgain()
	case 18:
		return g.one("getEphemerals /", "getEphemerals /g/a", "getAllChildrenNumber /g", "getAllChildrenNumber /h")
	}
	return g.one("sync /g", "ping", "whoAmI", "sync /none")
}

func (g *generator) joined(part func() string) string {
	parts := make([]string, 1+g.r.IntN(4))
	for i := range parts {
		parts[i] = part()
	}
	return strings.Join(parts, " ; ")
}

func (g *generator) watchesAgain() string {
	return fmt.Sprintf("setWatches2 zxid=+%d data=%s exist=%s child=%s persistent=%s recursive=%s",
		g.r.IntN(40), g.path(), g.path(), g.path(), g.path(), g.path())
}
