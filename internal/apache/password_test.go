package apache

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/node/replica"
	"zoolab/zk/jute"
)

// TestPasswordsAgreeWithApache compares the passwords that the original gave
// out with those that this server would give to the same sessions: else a
// session could not move between members of both kinds.
func TestPasswordsAgreeWithApache(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "zk", "jute", "testdata", "client.txt"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	opened := false // the connection's handshake was answered
	for line := range strings.Lines(string(text)) {
		mark, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if mark == "connection" {
			opened = false
		}
		if mark != "<" || opened {
			continue
		}
		opened = true
		frame, err := hex.DecodeString(rest)
		if err != nil {
			t.Fatal(err)
		}
		var answer jute.ReadOnlyConnectResponse
		if err := jute.Unmarshal(frame, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.SessionID == 0 {
			continue
		}
		compared++
		if got := replica.Password(answer.SessionID); !bytes.Equal(got, answer.Passwd) {
			t.Errorf("session %x: password %x, Apache's %x", answer.SessionID, got, answer.Passwd)
		}
	}
	if compared < 5 {
		t.Errorf("%d sessions compared", compared)
	}
}
