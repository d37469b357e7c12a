package workloads

import "fmt"

// CheckPipeline judges whether the requests of a session were carried out and answered in
// the order in which it sent them, which ZooKeeper promises of each client (FIFO client
// order), also of requests that were under way together:
//
//   - the zxids in the answers' headers never go back;
//   - the session's writes have rising zxids. The zxid of a write is known from its answer
//     or, also where that was lost, from whoever read the value. So a write whose answer
//     was lost took effect before all that its session sent later, or never: neither the
//     connection that it was sent on nor the member may carry it out after the session has
//     moved to another one;
//   - a read shows at least what the session wrote or read before it in the same key, and
//     nothing that it sent behind it;
//   - a write takes effect once, at a zxid of its own, and none that certainly failed, or that
//     nobody sent, or not yet, does;
//   - no member sends an answer that belongs to nothing that was asked on its connection.
//
// A session sends one burst after the other, so that the order of invocations and of the
// requests in them is that of sending. Requests that a client could not send because its
// connection broke go out on the next one, in order still.
func CheckPipeline(history []Op, bounds Bounds) Result {
	result := Result{Checker: "fifo", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &pipelineCheck{
		faults: &faultList{max: bounds.MaxFailures}, sent: make(map[int64]*sentRequest),
		effects: make(map[int64]effect), values: make(map[int64]int64), sessions: make(map[string]*pipelining),
	}
	var requests []sentRequest
	for i := range operations {
		requests = append(requests, requestsOf(&operations[i])...)
	}
	for i := range requests {
		c.gather(&requests[i])
	}
	for i := range requests {
		c.inOrder(&requests[i])
	}
	result.Stats["requests"], result.Stats["sessions"] = len(requests), len(c.sessions)
	result.Stats["open-writes"], result.Stats["open-writes-seen"] = c.open, c.openSeen
	return c.faults.judge(result, fmt.Sprintf("%d requests of %d sessions were carried out and answered in the order of sending (%d writes without an answer, %d of which were seen to have taken effect)", len(requests), len(c.sessions), c.open, c.openSeen), "violations of the order of a session's requests")
}

// sentRequest is a request with its end.
type sentRequest struct {
	operation *Operation
	kind      RequestKind
	key       string
	value     any // written or read
	end       string
	zxid      int64
	mzxid     int64
}

// requestsOf lists the requests of an operation in the order of sending.
func requestsOf(operation *Operation) (requests []sentRequest) {
	if operation.Invoke.F == "look" {
		request := sentRequest{operation: operation, kind: RequestRead, key: operation.Invoke.Key, value: operation.Complete.Value, end: endFail}
		if operation.Complete.Type == OK {
			request.end, request.zxid, request.mzxid = endOK, operation.Complete.Zxid, operation.Complete.Mzxid
		}
		if text, ok := request.value.(string); ok && text == "" {
			request.value = nil // a znode that nobody wrote yet
		}
		return []sentRequest{request}
	}
	list, _ := operation.Complete.Value.([]any)
	if operation.Complete.Error == noCompletion {
		list = unanswered(operation.Invoke.Value)
	}
	for _, item := range list {
		fields, _ := item.([]any)
		if len(fields) != 6 {
			continue
		}
		request := sentRequest{operation: operation, value: fields[2]}
		kind, _ := fields[0].(string)
		request.kind = RequestKind(kind)
		request.key, _ = fields[1].(string)
		request.end, _ = fields[3].(string)
		request.zxid, _ = fields[4].(int64)
		request.mzxid, _ = fields[5].(int64)
		requests = append(requests, request)
	}
	return requests
}

// unanswered gives the requests of an invocation whose completion is missing.
func unanswered(value any) (list []any) {
	items, _ := value.([]any)
	for _, item := range items {
		fields, _ := item.([]any)
		if len(fields) == 3 {
			if _, isRequest := fields[0].(string); isRequest {
				list = append(list, append(append([]any{}, fields...), endInfo, int64(0), int64(0)))
				continue
			}
		}
		list = append(list, unanswered(item)...) // a half of a leap
	}
	return list
}

// effect is the change that a write made.
type effect struct {
	zxid int64
	key  string
	by   *Operation // who shows it
}

type pipelineCheck struct {
	faults   *faultList
	sent     map[int64]*sentRequest // by the value written
	effects  map[int64]effect       // by the value written
	values   map[int64]int64        // zxid -> the value that took effect at it
	sessions map[string]*pipelining

	open, openSeen int
}

// pipelining is how far a session has come.
type pipelining struct {
	answered *sentRequest            // with the newest zxid in its header
	written  *sentRequest            // the newest write that took effect
	seen     map[string]*sentRequest // key -> the newest state that it was shown
}

// gather learns which writes took effect, and when.
func (c *pipelineCheck) gather(r *sentRequest) {
	value, number := r.value.(int64)
	if r.kind == RequestWrite {
		c.sent[value] = r
	}
	if r.end != endOK || r.kind == RequestSync || r.value == nil {
		return
	}
	known, seen := c.effects[value]
	switch {
	case !number:
		c.faults.add(r.key, fmt.Sprintf("%s %d shows %q in key %s, which nobody wrote", r.operation.Invoke.F, r.operation.Invoke.Index, r.value, r.key), r.operation)
	case !seen:
		c.effects[value] = effect{r.mzxid, r.key, r.operation}
		if other, taken := c.values[r.mzxid]; taken {
			before := c.effects[other]
			c.faults.add(r.key, fmt.Sprintf("the values %d (operation %d) and %d (operation %d) both took effect at zxid %s", other, before.by.Invoke.Index, value, r.operation.Invoke.Index, hex(r.mzxid)), distinct(before.by, r.operation)...)
		}
		c.values[r.mzxid] = value
	case known.zxid != r.mzxid || known.key != r.key:
		c.faults.add(r.key, fmt.Sprintf("value %d took effect twice: in key %s at zxid %s (operation %d), and in key %s at zxid %s (operation %d)", value, known.key, hex(known.zxid), known.by.Invoke.Index, r.key, hex(r.mzxid), r.operation.Invoke.Index), distinct(known.by, r.operation)...)
	}
}

// inOrder judges a request against those that its session sent before.
func (c *pipelineCheck) inOrder(r *sentRequest) {
	name := sessionName(r.operation.Invoke)
	s := c.sessions[name]
	if s == nil {
		s = &pipelining{seen: make(map[string]*sentRequest)}
		c.sessions[name] = s
	}
	at := r.operation.Invoke.Index
	if r.end == endBroken {
		c.faults.add(r.key, fmt.Sprintf("a member answered something that %s had not asked on that connection, while operation %d waited", name, at), r.operation)
	}
	if r.kind == RequestWrite {
		c.writeInOrder(s, r, name)
	}
	if r.end != endOK {
		return
	}
	if before := s.answered; before != nil && r.zxid < before.zxid {
		c.faults.add(r.key, fmt.Sprintf("%s was answered at zxid %s (%s of key %s, operation %d), and then at zxid %s (%s of key %s, operation %d)", name, hex(before.zxid), before.kind, before.key, before.operation.Invoke.Index, hex(r.zxid), r.kind, r.key, at), distinct(before.operation, r.operation)...)
	} else {
		s.answered = r
	}
	if r.kind == RequestRead {
		c.readInOrder(s, r, name)
	}
	if before := s.seen[r.key]; r.kind != RequestSync && (before == nil || r.mzxid > before.mzxid) {
		s.seen[r.key] = r
	}
}

func (c *pipelineCheck) writeInOrder(s *pipelining, r *sentRequest, name string) {
	at := r.operation.Invoke.Index
	value, _ := r.value.(int64)
	made, tookEffect := c.effects[value]
	if r.end == endInfo || r.end == endBroken {
		c.open++
		if tookEffect {
			c.openSeen++
		}
	}
	switch before := s.written; {
	case !tookEffect:
		return
	case r.end == endFail:
		c.faults.add(r.key, fmt.Sprintf("the write of %d in operation %d certainly failed, but operation %d shows it", value, at, made.by.Invoke.Index), distinct(r.operation, made.by)...)
	case before != nil && made.zxid <= before.mzxid:
		c.faults.add(r.key, fmt.Sprintf("%s sent the write of %v to key %s (operation %d) before that of %d to key %s (operation %d), but they took effect at zxid %s and %s", name, before.value, before.key, before.operation.Invoke.Index, value, r.key, at, hex(before.mzxid), hex(made.zxid)), distinct(before.operation, made.by, r.operation)...)
	default:
		placed := *r
		placed.mzxid = made.zxid
		s.written = &placed
		c.overtaken(s, &placed, name)
	}
}

// overtaken finds a read that shows a write which its session sent behind it.
func (c *pipelineCheck) overtaken(s *pipelining, write *sentRequest, name string) {
	if before := s.seen[write.key]; before != nil && before.kind == RequestRead && before.mzxid >= write.mzxid {
		c.faults.add(write.key, fmt.Sprintf("%s read key %s at zxid %s (operation %d), which is not before its own write of %v, which it sent later (operation %d) and which took effect at zxid %s", name, write.key, hex(before.mzxid), before.operation.Invoke.Index, write.value, write.operation.Invoke.Index, hex(write.mzxid)), distinct(before.operation, write.operation)...)
	}
}

func (c *pipelineCheck) readInOrder(s *pipelining, r *sentRequest, name string) {
	at := r.operation.Invoke.Index
	if value, number := r.value.(int64); number && c.sent[value] == nil {
		c.faults.add(r.key, fmt.Sprintf("operation %d shows value %d in key %s, which nobody sent", at, value, r.key), r.operation)
	} else if number && c.sent[value].operation.Invoke.Index > r.operation.Complete.Index {
		c.faults.add(r.key, fmt.Sprintf("operation %d shows value %d in key %s before operation %d, which sent it, began", at, value, r.key, c.sent[value].operation.Invoke.Index), r.operation, c.sent[value].operation)
	}
	if before := s.seen[r.key]; before != nil && r.mzxid < before.mzxid {
		c.faults.add(r.key, fmt.Sprintf("%s had come to zxid %s of key %s with a %s of operation %d, but a read that it sent later (operation %d) shows zxid %s", name, hex(before.mzxid), r.key, before.kind, before.operation.Invoke.Index, at, hex(r.mzxid)), distinct(before.operation, r.operation)...)
	}
}
