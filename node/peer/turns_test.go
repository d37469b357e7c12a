package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns: whose turn it is, as each is given back.
func TestTurns(t *testing.T) {
	for _, test := range []struct {
		name  string
		hosts string // a letter for each handshake that is lined up
		leave string // the numbers of those that give up before the first turn is over
		want  string // numbers in the order of their turns
	}{
		{"one host, the newest first", "AAAA", "", "0321"},
		{"hosts have turns", "AAAABBC", "", "0356241"},
		{"who comes last waits for no queue", "AAAAAAAAB", "", "078654321"},
		{"who gives up has no turn", "AAABBC", "25", "0143"},
		{"whose turn has come gives it back", "ABA", "0", "12"},
		{"all give up", "AAB", "120", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var all turns
			var lined []chan struct{} // nil once their turn came or they gave up
			for _, host := range test.hosts {
				lined = append(lined, all.queue(lane{}, string(host)))
			}
			for _, c := range test.leave {
				all.withdraw(lane{}, lined[c-'0'])
				lined[c-'0'] = nil
			}
			got := ""
			for len(all.lanes) > 0 {
				next := slices.IndexFunc(lined, func(turn chan struct{}) bool {
					select {
					case <-turn:
						return true
					default:
						return false
					}
				})
				if next < 0 {
					t.Fatalf("nobody's turn it is after %s", got)
				}
				got += fmt.Sprint(next)
				lined[next] = nil
				all.give(lane{})
			}
			if got != test.want {
				t.Errorf("turns in the order %s, want %s", got, test.want)
			}
		})
	}
}

// TestTurnsEnd: who waits too long is told, other lanes don't wait, and nothing is left behind.
func TestTurnsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all turns
		a, b := lane{member: "A"}, lane{member: "B"}
		if err := errors.Join(all.take(t.Context(), a, "A"), all.take(t.Context(), b, "B")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := all.take(ctx, a, "A"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits too long gets %v", err)
		}
		all.give(a)
		all.give(b)
		if len(all.lanes) != 0 {
			t.Errorf("left behind: %v", all.lanes)
		}
	})
}
