package workloads

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Locks and elections are queues of candidates: ephemeral sequential znodes, of
// which the first one's session holds the lock, or leads. Its sequence number is the
// fencing token. What is protected is a znode that only the holder may set, by a
// multi that also checks that his candidate is still there; the zxid of such a multi
// proves that he held at that point in the order of changes.

// candidate is one session's place in a queue.
type candidate struct {
	path  string
	token int64
	made  int64 // zxid of its creation, 0 where it was found and not made
}

// candidateName tells the candidates of sessions apart, so that a session finds its
// own again after it lost the answer to their creation.
func candidateName(session int64) string { return "c-" + strconv.FormatUint(uint64(session), 16) + "-" }

// candidatesOf lists the candidates of a session, in the order of their tokens. There
// is more than one where the creation of an earlier one had no answer.
func candidatesOf(queue string, names []string, session int64) (own []candidate) {
	for _, name := range names {
		if strings.HasPrefix(name, candidateName(session)) {
			own = append(own, candidate{path: queue + "/" + name, token: sequence(name)})
		}
	}
	sort.Slice(own, func(i, j int) bool { return own[i].token < own[j].token })
	return own
}

// placeOf counts the candidates before one, -1 if it is not there.
func placeOf(names []string, own candidate) int {
	place, there := 0, false
	for _, name := range names {
		there = there || strings.HasSuffix(own.path, "/"+name)
		if sequence(name) < own.token {
			place++
		}
	}
	if !there {
		return -1
	}
	return place
}

// sessionsIn gives the sessions whose candidates are in a queue.
func sessionsIn(names []string) []any {
	sessions := []any{}
	for _, name := range names {
		digits, _, _ := strings.Cut(strings.TrimPrefix(name, "c-"), "-")
		if session, err := strconv.ParseUint(digits, 16, 64); err == nil {
			sessions = append(sessions, int64(session))
		}
	}
	return sessions
}

// stand makes a candidate.
func stand(ctx context.Context, client Service, queue string, session int64) (candidate, int64, error) {
	created, stat, zxid, err := client.CreateMode(ctx, queue+"/"+candidateName(session), nil, Sequential|Ephemeral)
	return candidate{path: created, token: sequence(created), made: stat.Czxid}, zxid, err
}

// protect sets the protected znode to the candidate's token, at the version that it
// has, unless the candidate is gone.
func protect(ctx context.Context, client Service, path string, version int32, by candidate) (int64, error) {
	return client.Multi(ctx, []Part{{Path: by.path, Version: 0}, {Path: path, Data: encodeInt(by.token), Version: version}})
}

// What a holder may come upon, as noted in the history.
const (
	noteEvicted   = "evicted"   // his candidate was gone, although his session lived
	noteDisturbed = "disturbed" // the protected znode was not as he left it
)

// note says what a refused multi of protect means.
func note(err error) string {
	switch {
	case errors.Is(err, ErrNoNode):
		return noteEvicted
	case errors.Is(err, ErrBadVersion):
		return noteDisturbed
	}
	return ""
}

// claim is what one operation proves about who held.
type claim struct {
	operation *Operation
	token     int64
	made      int64 // zxid of the candidate's creation, 0 if unknown
	granted   int64 // zxid at which it was shown to be the first, 0 if it was not
	entered   int64 // zxid of the first change under the claim, 0 if none is known
	left      int64 // zxid of the last one, 0 if none is known
	note      string
}

// value is the claim as histories hold it.
func (c *claim) value() []any {
	return []any{c.token, c.made, c.granted, c.entered, c.left, c.note}
}

// claimOf reads the claim of a completion; false if it has none.
func claimOf(operation *Operation) (claim, bool) {
	list, _ := operation.Complete.Value.([]any)
	if len(list) != 6 {
		return claim{}, false
	}
	c := claim{operation: operation}
	numbers := []*int64{&c.token, &c.made, &c.granted, &c.entered, &c.left}
	for i, number := range numbers {
		value, ok := list[i].(int64)
		if !ok {
			return claim{}, false
		}
		*number = value
	}
	// A list of six candidates is no claim.
	note, ok := list[5].(string)
	c.note = note
	return c, ok
}

// last is the highest zxid at which the claim is proved to have stood, 0 if none is.
func (c *claim) last() int64 { return max(c.entered, c.left) }

// checkClaims judges the claims on one lock or one leadership, in the order of their
// tokens. Zxids number all states of the service, so that each rule speaks of states
// and needs no clock:
//
//   - tokens: none is given to two sessions, and they rise with the zxids at which
//     they were made;
//   - exclusive: who was shown to be first at zxid z came after all earlier
//     candidates were gone, so that no claim with a lower token is proved at z or
//     later;
//   - fenced: changes of the protected znode carry tokens that rise with their zxids;
//   - not evicted: a candidate is there as long as its session lives, and only its
//     session deletes it. A holder to whom the server says that it is gone has a
//     session that lives, because the server answered it. Nothing is said where the
//     session had tried to give it up and got no answer;
//   - not disturbed: between grant and release nobody else sets the protected znode.
func checkClaims(faults *faultList, key string, claims []claim, resigning map[int64]int) {
	sort.SliceStable(claims, func(i, j int) bool {
		if claims[i].token != claims[j].token {
			return claims[i].token < claims[j].token
		}
		return claims[i].operation.Invoke.Index < claims[j].operation.Invoke.Index
	})
	var made, proved *claim // of lower tokens: the newest made, the one proved longest
	for start := 0; start < len(claims); {
		end := start
		for end < len(claims) && claims[end].token == claims[start].token {
			end++
		}
		same := claims[start:end]
		for i := range same {
			c := &same[i]
			if at, unsure := resigning[c.operation.Invoke.Session]; c.note == noteEvicted && unsure && at < c.operation.Complete.Index {
				c.note = ""
			}
			checkClaim(faults, key, &same[0], c, made, proved)
		}
		for i := range same {
			if c := &same[i]; c.made != 0 && (made == nil || c.made > made.made) {
				made = c
			}
			if c := &same[i]; c.last() != 0 && (proved == nil || c.last() > proved.last()) {
				proved = c
			}
		}
		start = end
	}
	checkFenced(faults, key, claims)
}

// checkClaim judges one claim beside the first of its token and the best known of all
// lower ones.
func checkClaim(faults *faultList, key string, first, c, made, proved *claim) {
	at := c.operation.Invoke.Index
	if first.operation.Invoke.Session != c.operation.Invoke.Session {
		faults.add(key, fmt.Sprintf("token %d of %s was given to %s and to %s", c.token, key, sessionName(first.operation.Invoke), sessionName(c.operation.Invoke)), first.operation, c.operation)
	}
	if c.made != 0 && made != nil && c.made <= made.made {
		faults.add(key, fmt.Sprintf("token %d of %s was made at zxid %s, but the lower token %d at zxid %s, which is not earlier", c.token, key, hex(c.made), made.token, hex(made.made)), made.operation, c.operation)
	}
	if c.granted != 0 && proved != nil && c.granted <= proved.last() {
		faults.add(key, fmt.Sprintf("two held %s at once: operation %d was shown to be first, with token %d, at zxid %s, but operation %d still held it, with token %d, at zxid %s", key, at, c.token, hex(c.granted), proved.operation.Invoke.Index, proved.token, hex(proved.last())), proved.operation, c.operation)
	}
	switch c.note {
	case noteEvicted:
		faults.add(key, fmt.Sprintf("operation %d lost its place in %s, with token %d, although its %s was alive and had not given it up", at, key, c.token, sessionName(c.operation.Invoke)), c.operation)
	case noteDisturbed:
		faults.add(key, fmt.Sprintf("operation %d held %s, with token %d, but somebody else changed what it protects", at, key, c.token), c.operation)
	}
}

// checkFenced checks that the changes under all claims carry tokens that rise.
func checkFenced(faults *faultList, key string, claims []claim) {
	type change struct {
		zxid int64
		by   *claim
	}
	var changes []change
	for i := range claims {
		for _, zxid := range []int64{claims[i].entered, claims[i].left} {
			if zxid != 0 {
				changes = append(changes, change{zxid, &claims[i]})
			}
		}
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].zxid < changes[j].zxid })
	for i := 1; i < len(changes); i++ {
		before, after := changes[i-1], changes[i]
		if after.by.token < before.by.token {
			faults.add(key, fmt.Sprintf("the fencing token of %s goes back: operation %d changed it with token %d at zxid %s, operation %d with token %d at zxid %s", key, before.by.operation.Invoke.Index, before.by.token, hex(before.zxid), after.by.operation.Invoke.Index, after.by.token, hex(after.zxid)), before.by.operation, after.by.operation)
		}
	}
}

// checkProtected judges the reads of a protected znode, which were made behind a sync:
// each shows a token at least as high as those of the changes that were acknowledged
// before it began.
func checkProtected(faults *faultList, key string, operations []*Operation) {
	var changed []*Operation
	tokens := make(map[*Operation]int64)
	for _, operation := range operations {
		if c, ok := claimOf(operation); ok && c.entered != 0 && !operation.Open() {
			changed = append(changed, operation)
			tokens[operation] = c.token
		}
	}
	sort.Slice(changed, func(i, j int) bool { return changed[i].ReturnIndex < changed[j].ReturnIndex })
	next, highest := 0, (*Operation)(nil)
	for _, operation := range operations {
		for ; next < len(changed) && changed[next].ReturnIndex < operation.Invoke.Index; next++ {
			if highest == nil || tokens[changed[next]] > tokens[highest] {
				highest = changed[next]
			}
		}
		if operation.Invoke.F != "read" || operation.Complete.Type != OK || highest == nil {
			continue
		}
		if shown, _ := operation.Complete.Value.(int64); shown < tokens[highest] {
			faults.add(key, fmt.Sprintf("read %d of %s shows token %v, but operation %d had changed it with token %d before", operation.Invoke.Index, key, operation.Complete.Value, highest.Invoke.Index, tokens[highest]), highest, operation)
		}
	}
}

// checkVanished judges the final lists of candidates, which are read after the healed
// ensemble was left alone for longer than sessions live without a word: no candidate
// is left of a session that vanished before.
func checkVanished(faults *faultList, key string, operations []*Operation, vanished map[int64]*Operation) {
	for _, operation := range operations {
		if operation.Invoke.F != "final-queue" || operation.Complete.Type != OK {
			continue
		}
		for _, session := range ints(operation.Complete.Value) {
			if left := vanished[session]; left != nil && left.Complete.Index < operation.Invoke.Index {
				faults.add(key, fmt.Sprintf("the final list %d of %s still has a candidate of %s, which operation %d had left, and the ensemble had more than its timeout to expire it", operation.Invoke.Index, key, sessionName(left.Invoke), left.Invoke.Index), left, operation)
			}
		}
	}
}

// checkQueueOfClaims judges the history of locks or elections, key by key.
func checkQueueOfClaims(result Result, history []Op, bounds Bounds, bad string) Result {
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	faults := &faultList{max: bounds.MaxFailures}
	vanished := make(map[int64]*Operation)
	for i := range operations {
		if operation := &operations[i]; operation.Invoke.F == "vanish" && operation.Complete.Type == OK {
			vanished[operation.Invoke.Session] = operation
		}
	}
	entered, holders := 0, make(map[string]bool)
	for _, key := range splitByKey(operations) {
		var claims []claim
		resigning := make(map[int64]int) // session -> Index of its first attempt without an answer
		for _, operation := range key.operations {
			session := operation.Invoke.Session
			if _, ok := resigning[session]; !ok && operation.Invoke.F == "resign" && operation.Complete.Type == Info {
				resigning[session] = operation.Invoke.Index
			}
			if c, ok := claimOf(operation); ok {
				claims = append(claims, c)
				if c.entered != 0 {
					entered++
					holders[fmt.Sprint(key.key, c.token)] = true
				}
			}
		}
		checkClaims(faults, key.key, claims, resigning)
		checkProtected(faults, key.key, key.operations)
		checkVanished(faults, key.key, key.operations, vanished)
	}
	result.Stats["entered"], result.Stats["holders"], result.Stats["vanished"] = entered, len(holders), len(vanished)
	return faults.judge(result, fmt.Sprintf("%d holders, one after the other, made %d changes with tokens that rise (%d vanished while they held)", len(holders), entered, len(vanished)), bad)
}
