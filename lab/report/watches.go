package report

import (
	"slices"
	"strings"
)

// columnWatch is one watch of a session, for the timeline.
type columnWatch struct {
	Session  string  `json:"session"`
	Key      string  `json:"key"`
	Kind     string  `json:"kind"`     // the operation that set it
	FromUs   int64   `json:"fromUs"`   // the answer that set it
	ToUs     int64   `json:"toUs"`     // the answer that its event came with, else the session's last one
	Fired    bool    `json:"fired"`    // its event came
	EventsUs []int64 `json:"eventsUs"` // of a watch that stays: the answers with its events
}

// Bounds of what the timeline shows of watches.
const (
	maxWatches     = 4000
	maxWatchEvents = 2000 // of one watch
)

// watchEvent is an event as an answer hands it over.
type watchEvent struct {
	key, kind string
	zxid      int64
}

// eventsOf recognizes the events that came with an answer: [key zxid] or
// [key kind zxid] each.
func eventsOf(value any) ([]watchEvent, bool) {
	tuples, ok := tuples(value, func(event []any) bool {
		_, keyed := at[string](event, 0)
		_, numbered := at[int64](event, len(event)-1)
		_, kinded := at[string](event, 1)
		return keyed && numbered && (len(event) == 2 || len(event) == 3 && kinded)
	})
	events := make([]watchEvent, 0, len(tuples))
	for _, tuple := range tuples {
		event := watchEvent{}
		event.key, _ = at[string](tuple, 0)
		event.zxid, _ = at[int64](tuple, len(tuple)-1)
		if len(tuple) == 3 {
			event.kind, _ = at[string](tuple, 1)
		}
		events = append(events, event)
	}
	return events, ok
}

// setsWatch says whether an operation sets a watch, and whether that one stays.
func setsWatch(f string) (sets, stays bool) {
	switch f[strings.LastIndexByte(f, '/')+1:] {
	case "watch", "await", "listen":
		return true, false
	case "follow":
		return true, true
	}
	return false, false
}

// watchSpans follows the watches of each session from the answer that set one to
// the answer that handed its event over. That is when the client knew, not when
// the server sent it.
func watchSpans(r *run) []columnWatch {
	spans := []columnWatch{}
	type watched struct {
		session int64
		key     string
	}
	open := make(map[watched]int)      // watches that fire once -> their place
	following := make(map[int64][]int) // session -> the places of watches that stay
	order := make([]int, 0, len(r.ops))
	lastUs := make(map[string]int64) // session -> its last answer
	for i := range r.ops {
		if r.ops[i].succeeded() && r.ops[i].session != 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(max(-1, min(1, r.ops[a].endNs-r.ops[b].endNs))) })
	for _, i := range order {
		op := &r.ops[i]
		endUs := op.endNs / 1000
		lastUs[sessionText(op.session)] = endUs
		events, _ := eventsOf(op.out)
		for _, event := range events {
			if place, armed := open[watched{op.session, event.key}]; armed {
				spans[place].ToUs, spans[place].Fired = endUs, true
				delete(open, watched{op.session, event.key})
				continue
			}
			for _, place := range following[op.session] {
				span := &spans[place]
				if strings.HasPrefix(event.key+"/", span.Key+"/") && len(span.EventsUs) < maxWatchEvents {
					span.EventsUs = append(span.EventsUs, endUs)
				}
			}
		}
		sets, stays := setsWatch(op.f)
		if _, armed := open[watched{op.session, op.key}]; !sets || armed || len(spans) == maxWatches {
			continue
		}
		spans = append(spans, columnWatch{
			Session: sessionText(op.session), Key: clip(op.key, maxValueRunes), Kind: op.f, FromUs: endUs, EventsUs: []int64{},
		})
		if stays {
			following[op.session] = append(following[op.session], len(spans)-1)
		} else {
			open[watched{op.session, op.key}] = len(spans) - 1
		}
	}
	for i := range spans {
		if !spans[i].Fired {
			spans[i].ToUs = lastUs[spans[i].Session]
		}
	}
	return spans
}
