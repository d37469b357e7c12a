package conformance

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"zoolab/zk/jute"
)

// whole are requests of all kinds, before they are damaged. A check alone, a reconfig
// and others of which Differences tells are not among them.
var whole = []string{
	`create /n/x data="abc" flags=2`, `create2 /n/y data="abc" acl=world:anyone:cr`, `createContainer /n/container`, `createTTL /n/ttl data="abc"`,
	`delete /n/c v=0`, `exists /n watch`, `getData /n watch`, `setData /n data="changed" v=0`, `getACL /n`,
	`setACL /n acl=digest:user:hash:rw,world:anyone:cdrwa v=0`, `getChildren /n watch`, `getChildren2 /n watch`, `ping`,
	`multi create /n/m data="x" ; check /n v=0 ; setData /n data="y" ; delete /n/c`, `multiRead getData /n ; getChildren /n`,
	`removeWatches /n type=1`, `addWatch /n mode=1`, `getEphemerals /n`, `getAllChildrenNumber /n`, `auth digest user:secret`,
	`setWatches zxid=+0 data=/n exist=/none child=/n`, `setWatches2 zxid=+0 data=/n exist=/none child=/n persistent=/n recursive=/n`,
}

// GenerateMalformed makes a section of requests whose bytes were damaged, each in a session
// of its own, for many end it. The same seed makes the same section.
func GenerateMalformed(seed uint64, requests int) *Section {
	r := rand.New(rand.NewPCG(seed, 0))
	section := &Section{Name: fmt.Sprintf("malformed requests of seed %d", seed)}
	line := func(format string, args ...any) {
		section.Steps = append(section.Steps, &Step{Line: fmt.Sprintf(format, args...)})
	}
	line("a connect")
	line(`a create /n data="n"`)
	line("a create /n/c")
	for i := range requests {
		text := whole[r.IntN(len(whole))]
		words, err := splitWords(text)
		if err != nil {
			panic(fmt.Sprintf("conformance: %s: %v", text, err))
		}
		request, err := parseRequest(words, 0)
		if err != nil {
			panic(fmt.Sprintf("conformance: %s: %v", text, err))
		}
		line("m%d connect", i)
		// whoAmI has no body of its own, and the answer is read as that of the other operation.
		spared := 0
		if request.xid == jute.XidSetWatches {
			spared = zxidBytes // zxids are compared there, and the servers' differ by their epochs
		}
		body := append(request.body[:spared:spared], damage(r, request.body[spared:])...)
		line("m%d whoAmI op=%d extra=hex:%x", i, request.code, body)
	}
	return section
}

const zxidBytes = 8

// damage changes a request's body in one to three places.
func damage(r *rand.Rand, body []byte) []byte {
	b := append([]byte(nil), body...)
	for range 1 + r.IntN(3) {
		at := 0
		if len(b) > 0 {
			at = r.IntN(len(b))
		}
		switch r.IntN(6) {
		case 0: // its end is missing
			b = b[:at]
		case 1: // something follows
			for range 1 + r.IntN(6) {
				b = append(b, byte(r.Uint32()))
			}
		case 2: // a byte is another
			if len(b) > 0 {
				b[at] = byte(r.Uint32())
			}
		case 3: // a byte is missing
			if len(b) > 0 {
				b = append(b[:at], b[at+1:]...)
			}
		case 4: // there is one more
			b = append(b[:at], append([]byte{byte(r.Uint32())}, b[at:]...)...)
		case 5: // a length, count or number is another
			numbers := []int32{-1 << 31, -2, 0, 1, 2, 8, 1000, 1 << 20, 1<<31 - 1}
			if at -= at % 4; at+4 <= len(b) {
				binary.BigEndian.PutUint32(b[at:], uint32(numbers[r.IntN(len(numbers))]))
			}
		}
	}
	return b
}
