package servetest

import (
	"strings"
	"testing"
	"time"

	"zoolab/zk/jute"
)

// counted waits until mntr shows a metric above zero.
func counted(t *testing.T, v *victim, metric string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		for line := range strings.Lines(ask(t, v.Server, "mntr")) {
			if value, ok := strings.CutPrefix(line, metric+"\t"); ok && strings.Trim(value, "0.\n") != "" {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s stays at 0:\n%s", metric, ask(t, v.Server, "mntr"))
		}
	}
}

// TestRequestThrottle floods a server that lets in one request at a time: those that waited
// too long are answered with -127, in order, and are not carried out.
func TestRequestThrottle(t *testing.T) {
	t.Parallel()
	v := attack(t, map[string]string{
		"requestThrottleLimit": "1", "zookeeper.request_throttle_stall_time": "1", "throttled_op_wait_time": "1",
	})
	checker := v.enter("checker")
	if code, _, err := checker.exchange(jute.OpCreate, createReq("/n", "", 0)); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	const clients, requests = 8, 300
	done, refused := make([]int, clients), make([]int, clients)
	var flooders []*wire
	for range clients {
		flooders = append(flooders, v.enter("flooder"))
	}
	together(clients, func(i int) {
		w := flooders[i]
		go func() {
			for xid := range int32(requests) {
				h := jute.RequestHeader{Xid: 1 + xid, Type: jute.OpSetData}
				w.send((&jute.SetDataRequest{Path: "/n", Data: make([]byte, 10_000), Version: -1}).Append(jute.Marshal(&h)))
			}
		}()
		for xid := range int32(requests) {
			frame, err := w.read()
			var h jute.ReplyHeader
			if err == nil {
				h.Decode(jute.NewDecoder(frame))
			}
			switch {
			case err != nil || h.Xid != 1+xid:
				t.Errorf("answer %d: %+v, %v", xid, h, err)
				return
			case h.Err == jute.CodeThrottledOp:
				refused[i]++
			case h.Err == jute.CodeOK:
				done[i]++
			default:
				t.Errorf("answer %d: %v", xid, h.Err)
			}
		}
	})
	wrote, throttled := 0, 0
	for i := range clients {
		wrote += done[i]
		throttled += refused[i]
	}
	if wrote == 0 || throttled == 0 {
		t.Errorf("%d requests were carried out and %d refused, want some of both", wrote, throttled)
	}
	_, body, err := checker.exchange(jute.OpExists, &jute.ExistsRequest{Path: "/n"})
	var stat jute.ExistsResponse
	if err != nil || jute.Unmarshal(body, &stat) != nil || int(stat.Stat.Version) != wrote {
		t.Errorf("%d writes took effect, want %d: %v", stat.Stat.Version, wrote, err)
	}
	for _, metric := range []string{"zk_throttled_ops", "zk_request_throttle_wait_count", "zk_max_request_throttle_queue_time_ms"} {
		counted(t, v, metric)
	}
}

// TestConnectionThrottle and large requests, by the settings of a zoo.cfg.
func TestConnectionThrottle(t *testing.T) {
	t.Parallel()
	v := attack(t, map[string]string{
		"connectionMaxTokens": "40", "zookeeper.connection_throttle_fill_time": "3600000",
		"connection_throttle_freeze_time": "0", "connectionDropIncrease": "1", "connection_throttle_weight_enabled": "true",
		"largeRequestThreshold": "1000", "largeRequestMaxBytes": "10000",
	})
	first := v.enter("first") // 3 of 120 tokens
	if code, _, err := first.exchange(jute.OpCreate, createReq("/large", strings.Repeat("x", 9000), 0)); code != 0 || err != nil {
		t.Errorf("a large request for which there is room: %v, %v", code, err)
	}
	if _, _, err := first.exchange(jute.OpCreate, createReq("/larger", strings.Repeat("x", 10_001), 0)); err == nil {
		t.Error("a large request for which there is no room is answered")
	}
	counted(t, v, "zk_large_requests_rejected")
	sc := newScript(t, v.ClientAddr)
	in, out := 0, 0
	for range 60 {
		w := sc.dial("another")
		if w.handshake("connect", &jute.ConnectRequest{TimeoutMs: 10_000, Passwd: make([]byte, 16)}); w.ended {
			out++
		} else {
			in++
		}
	}
	if in == 0 || in > 39 || out < 21 {
		t.Errorf("%d of 60 got in, want at most 39", in)
	}
	for _, metric := range []string{"zk_connection_rejected", "zk_connection_drop_probability", "zk_max_connection_token_deficit"} {
		counted(t, v, metric)
	}
}
