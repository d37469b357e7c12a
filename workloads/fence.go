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

// stand makes a candidate, whose token is -1 if the name that it was given is not its own.
func stand(ctx context.Context, client Service, queue string, session int64) (candidate, int64, error) {
	asked := queue + "/" + candidateName(session)
	created, stat, zxid, err := client.CreateMode(ctx, asked, nil, Sequential|Ephemeral)
	own := candidate{path: created, token: -1, made: stat.Czxid}
	if strings.HasPrefix(created, asked) {
		own.token = sequence(created)
	}
	return own, zxid, err
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

// doubts are the first attempts without an answer, by session: each may have had its effect.
type doubts struct {
	standing, resigning map[int64]int // Index of the invocation
}

func (d doubts) note(operation *Operation) {
	first := map[string]map[int64]int{"stand": d.standing, "resign": d.resigning}[operation.Invoke.F]
	if first == nil || operation.Complete.Type != Info {
		return
	}
	if _, ok := first[operation.Invoke.Session]; !ok {
		first[operation.Invoke.Session] = operation.Invoke.Index
	}
}

// checkClaims judges the claims on one lock or one leadership, in the order of their
// tokens. Zxids number all states of the service, so that each rule speaks of states
// and needs no clock:
//
//   - tokens: none is given to two sessions, they rise with the zxids at which they were
//     made, and each is that of a candidate which its session made;
//   - in its turn: a candidate is made, is shown to be the first, and changes the protected
//     znode at zxids that rise in this order, since all answers are its session's;
//   - exclusive: who was shown to be first at zxid z came after all earlier
//     candidates were gone, so that no claim with a lower token is proved at z or
//     later;
//   - fenced: changes of the protected znode carry tokens that rise with their zxids;
//   - not evicted: a candidate is there as long as its session lives, and only its
//     session deletes it. A holder to whom the server says that it is gone has a
//     session that lives, because the server answered it. Nothing is said where the
//     session had tried to give it up and got no answer;
//   - not disturbed: between grant and release nobody else sets the protected znode.
func checkClaims(faults *faultList, key string, claims []claim, doubts doubts) {
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
			if at, unsure := doubts.resigning[c.operation.Invoke.Session]; c.note == noteEvicted && unsure && at < c.operation.Complete.Index {
				c.note = ""
			}
			checkClaim(faults, key, &same[0], c, made, proved)
			checkTurn(faults, key, c, same, doubts.standing)
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

// checkTurn judges what a claim says of its candidate; same are all claims with its token.
func checkTurn(faults *faultList, key string, c *claim, same []claim, standing map[int64]int) {
	at := c.operation.Invoke.Index
	if c.token < 0 {
		faults.add(key, fmt.Sprintf("operation %d made a candidate in %s, and was given the name of another one", at, key), c.operation)
		return
	}
	by := c // who made the candidate
	for i := range same {
		if by.made == 0 && same[i].operation.Invoke.Session == c.operation.Invoke.Session {
			by = &same[i]
		}
	}
	if began, unsure := standing[c.operation.Invoke.Session]; by.made == 0 && (!unsure || began > at) {
		faults.add(key, fmt.Sprintf("operation %d claims %s with token %d, but its %s never made such a candidate", at, key, c.token, sessionName(c.operation.Invoke)), c.operation)
	}
	turns := []struct {
		what string
		by   *claim
		zxid int64
	}{{"made", by, by.made}, {"shown to be the first", c, c.granted}, {"proved by a change", c, c.entered}, {"proved by the next change", c, c.left}}
	before := turns[0]
	for i, turn := range turns[1:] {
		if turn.zxid == 0 {
			continue
		}
		// A list may be as new as the candidate, but each change has a zxid of its own.
		if turn.zxid < before.zxid || i > 0 && turn.zxid == before.zxid {
			faults.add(key, fmt.Sprintf("the claim of operation %d on %s, with token %d, was %s at zxid %s, but %s at zxid %s", at, key, c.token, turn.what, hex(turn.zxid), before.what, hex(before.zxid)), distinct(before.by.operation, c.operation)...)
		}
		before = turn
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

// checkShown judges where the tokens that reads of a protected znode show came from: each is
// that of a claim with which somebody changed it, or may have without an answer, who began
// before the read ended; and where the read shows the zxid of a known change, the token of
// that one.
func checkShown(faults *faultList, key string, operations []*Operation) {
	first := make(map[int64]*Operation)    // token -> the first that may have set it
	changes := make(map[int64]claim)       // by zxid
	unknown := (*Operation)(nil)           // the first change that never ended: of any token
	for _, operation := range operations { // in the order of their invocations
		c, ok := claimOf(operation)
		kind := operation.Complete.Type
		switch f := operation.Invoke.F; {
		case f != "hold" && f != "vanish" && f != "lead" || kind == Fail:
		case !ok && kind == Info && unknown == nil:
			unknown = operation
		case ok && first[c.token] == nil && (kind == Info || c.entered != 0):
			first[c.token] = operation
		}
		if ok && kind == OK {
			changes[c.entered], changes[c.left] = c, c
		}
	}
	for _, read := range operations {
		token, _ := read.Complete.Value.(int64)
		if read.Invoke.F != "read" || read.Complete.Type != OK {
			continue
		}
		at, by := read.Invoke.Index, first[token]
		if c := changes[read.Complete.Mzxid]; read.Complete.Mzxid != 0 && c.operation != nil && c.token != token {
			faults.add(key, fmt.Sprintf("read %d of %s shows token %d at zxid %s, but at that operation %d changed it with token %d", at, key, token, hex(read.Complete.Mzxid), c.operation.Invoke.Index, c.token), c.operation, read)
			continue
		}
		switch {
		case token < 0 || unknown != nil && unknown.Invoke.Index < read.Complete.Index:
		case by == nil:
			faults.add(key, fmt.Sprintf("read %d of %s shows token %d, with which nobody changed it", at, key, token), read)
		case by.Invoke.Index > read.Complete.Index:
			faults.add(key, fmt.Sprintf("read %d of %s shows token %d before operation %d, which was the first to change it with that, began", at, key, token, by.Invoke.Index), read, by)
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
		doubts := doubts{make(map[int64]int), make(map[int64]int)}
		for _, operation := range key.operations {
			doubts.note(operation)
			if c, ok := claimOf(operation); ok {
				claims = append(claims, c)
				if c.entered != 0 {
					entered++
					holders[fmt.Sprint(key.key, c.token)] = true
				}
			}
		}
		checkClaims(faults, key.key, claims, doubts)
		checkProtected(faults, key.key, key.operations)
		checkShown(faults, key.key, key.operations)
		checkVanished(faults, key.key, key.operations, vanished)
	}
	result.Stats["entered"], result.Stats["holders"], result.Stats["vanished"] = entered, len(holders), len(vanished)
	return faults.judge(result, fmt.Sprintf("%d holders, one after the other, made %d changes with tokens that rise (%d vanished while they held)", len(holders), entered, len(vanished)), bad)
}
