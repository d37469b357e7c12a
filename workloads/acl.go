package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sort"
)

const (
	aclRoot  = "/zoolab-acl"
	aclKeys  = 6
	aclUsers = 2
)

// aclWorkload lets sessions present users, leaves znodes to one of them or to
// everybody, and tries to read and write them, and to make and drop a child of theirs. An
// operation that is refused for want of permission is ok with the value "refused": that is
// an answer, and must be the right one. One that fails because the child is there, or is
// not, says nothing.
var aclWorkload = Workload{
	Name:         "acl",
	Doc:          "znodes that belong to users: nobody else reads, writes or gives them children, on whichever member, and their owners may",
	Kinds:        []string{"login", "guard", "read", "write", "make", "drop"},
	Roams:        true,
	NewGenerator: func(Options) Generator { return &aclGenerator{} },
	Setup: func(ctx context.Context, client Client) error {
		if err := setupRoot(aclRoot)(ctx, client); err != nil {
			return err
		}
		for i := range aclKeys {
			if err := setupRoot(fmt.Sprintf("%s/%s", aclRoot, aclKey(i)))(ctx, client); err != nil {
				return err
			}
		}
		return nil
	},
	Do: withService(doACL),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "permissions", Check: func(history []Op) Result { return CheckPermissions(history, bounds) }}}
	},
}

func aclKey(i int) string { return fmt.Sprintf("a%d", i) }

func aclUser(i int) string { return fmt.Sprintf("u%d", i) }

// Users are all users that workloads leave znodes to. Who presents them may read every
// tree.
func Users() (users []string) {
	for i := range aclUsers {
		users = append(users, aclUser(i))
	}
	return users
}

type aclGenerator struct{}

func (g *aclGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Key: aclKey(rng.Intn(aclKeys)), Version: -1}
	switch choice := rng.Intn(100); {
	case choice < 12:
		op.F, op.Key, op.Value = "login", "", aclUser(rng.Intn(aclUsers))
	case choice < 27:
		op.F, op.Value = "guard", ""
		// Often enough to everybody, so that a znode does not stay with a user whose
		// sessions have ended.
		if user := rng.Intn(aclUsers + 1); user < aclUsers {
			op.Value = aclUser(user)
		}
	case choice < 55:
		op.F = "read"
	case choice < 67:
		op.F = "make"
	case choice < 79:
		op.F = "drop"
	default:
		op.F = "write"
	}
	return op
}

func (g *aclGenerator) Completed(Op) {}

// Final asks several clients for every znode.
func (g *aclGenerator) Final() (ops []Op) {
	for range 5 {
		for i := range aclKeys {
			ops = append(ops, Op{Type: Invoke, F: "read", Key: aclKey(i), Version: -1})
		}
	}
	return ops
}

// aclRefused is the value of an operation that was not permitted.
const aclRefused = "refused"

func doACL(ctx context.Context, client Service, op Op) Op {
	path := aclRoot + "/" + op.Key
	user, _ := op.Value.(string)
	var zxid int64
	var err error
	switch op.F {
	case "login":
		return complete(op, true, 0, "auth", client.Login(ctx, user))
	case "guard":
		zxid, err = client.Guard(ctx, path, user)
	case "read":
		_, _, zxid, err = client.Get(ctx, path)
	case "write":
		_, zxid, err = client.Set(ctx, path, []byte("x"), -1)
	case "make":
		_, zxid, err = client.Create(ctx, path+"/child", nil)
	case "drop":
		zxid, err = client.Delete(ctx, path+"/child", -1)
	default:
		return refuse(op, fmt.Sprintf("the acl workload has no operation %q", op.F))
	}
	if errors.Is(err, ErrNoAuth) {
		op.Value, err = aclRefused, nil
	}
	return complete(op, op.F != "read", zxid, op.F, err)
}

// aclRule is who owns a znode from a zxid on; an empty owner is everybody.
type aclRule struct {
	zxid  int64
	owner string
	by    *Operation
}

// CheckPermissions judges each answered operation by who owned its znode, and which
// users its session had presented. The answer's zxid bounds the state that it was given
// in from above. From below it is bounded by what the session had come to before; and
// for what the leader decides, refusals of changes too, by all that had been
// acknowledged before, to anybody. Whoever owned the znode in between may explain the
// answer, and so may a change of owner that had no answer:
//
//   - allowed: what was done to a znode of user u was done by a session that had
//     presented u, or had tried to before the answer;
//   - refused: what was refused was asked by a session that had not been confirmed as u
//     before it asked, and not of a znode that was everybody's.
func CheckPermissions(history []Op, bounds Bounds) Result {
	result := Result{Checker: "permissions", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &aclCheck{
		faults: &faultList{max: bounds.MaxFailures}, rules: make(map[string][]aclRule),
		unsure: make(map[string][]*Operation), logins: make(map[aclSession][]*Operation),
	}
	for i := range operations {
		c.note(&operations[i])
	}
	for _, rules := range c.rules {
		sort.SliceStable(rules, func(i, j int) bool { return rules[i].zxid < rules[j].zxid })
	}
	c.answers(operations)
	result.Stats["allowed"], result.Stats["refused"] = c.allowed, c.refused
	return c.faults.judge(result, fmt.Sprintf("%d operations were allowed and %d refused, each as the owner of its znode demands", c.allowed, c.refused), "answers that the owner of a znode does not allow")
}

type aclSession struct {
	session int64
	user    string
}

type aclCheck struct {
	faults *faultList
	rules  map[string][]aclRule        // by key: acknowledged changes of owner, by zxid
	unsure map[string][]*Operation     // by key: those without an answer
	logins map[aclSession][]*Operation // attempts to present a user that may have come through

	allowed, refused int
}

func (c *aclCheck) note(operation *Operation) {
	user, _ := operation.Invoke.Value.(string)
	switch {
	case operation.Invoke.F == "login":
		// Also one that failed: the client presents it again on every connection.
		who := aclSession{operation.Invoke.Session, user}
		c.logins[who] = append(c.logins[who], operation)
	case operation.Invoke.F != "guard":
	case operation.Complete.Type == Info:
		c.unsure[operation.Invoke.Key] = append(c.unsure[operation.Invoke.Key], operation)
	case operation.Complete.Type == OK && operation.Complete.Value != aclRefused:
		c.rules[operation.Invoke.Key] = append(c.rules[operation.Invoke.Key], aclRule{operation.Complete.Zxid, user, operation})
	}
}

// owners lists who may have owned the operation's znode in the states above a zxid in
// which it may have been answered. What it did itself came after.
func (c *aclCheck) owners(operation *Operation, above int64) []aclRule {
	key := operation.Invoke.Key
	owners := []aclRule{{}} // everybody, as at the start
	for _, rule := range c.rules[key] {
		switch {
		case rule.zxid > operation.Complete.Zxid || rule.by == operation:
		case rule.zxid <= above:
			owners[0] = rule
		default:
			owners = append(owners, rule)
		}
	}
	for _, open := range c.unsure[key] {
		if open.Invoke.Index < operation.Complete.Index {
			user, _ := open.Invoke.Value.(string)
			owners = append(owners, aclRule{owner: user, by: open})
		}
	}
	return owners
}

// answers judges all answered operations.
func (c *aclCheck) answers(operations []Operation) {
	completed := inCompletionOrder(operations)
	next, acknowledged := 0, int64(0)
	seen := make(map[int64]int64) // session -> how far it had come
	for i := range operations {
		operation := &operations[i]
		for ; next < len(completed) && completed[next].Complete.Index < operation.Invoke.Index; next++ {
			before := completed[next]
			acknowledged = max(acknowledged, before.Complete.Zxid)
			session := before.Invoke.Session
			seen[session] = max(seen[session], before.Complete.Zxid)
		}
		above := acknowledged
		if operation.Invoke.F == "read" {
			above = seen[operation.Invoke.Session]
		}
		c.answer(operation, above)
	}
}

func (c *aclCheck) answer(operation *Operation, above int64) {
	if operation.Complete.Type != OK || operation.Invoke.F == "login" || operation.Complete.Zxid == 0 {
		return
	}
	refused := operation.Complete.Value == aclRefused
	if refused {
		c.refused++
	} else {
		c.allowed++
	}
	owners := c.owners(operation, above)
	for _, rule := range owners {
		tried, confirmed := c.presented(operation, rule.owner)
		if refused && !confirmed || !refused && tried {
			return // this owner explains the answer
		}
	}
	owner := "everybody"
	if owners[0].owner != "" {
		owner = owners[0].owner
	}
	shown := []*Operation{operation}
	if owners[0].by != nil {
		shown = []*Operation{owners[0].by, operation}
	}
	verb := "was allowed, although its session had never presented that user"
	if refused {
		verb = "was refused, although its session might"
	}
	c.faults.add(operation.Invoke.Key, fmt.Sprintf("%s %d of %s, which belonged to %s, %s", operation.Invoke.F, operation.Invoke.Index, operation.Invoke.Key, owner, verb), shown...)
}

// presented says whether an operation's session had tried to present a user before the
// operation was answered, and whether that was confirmed before it began. Everybody is
// whoever comes.
func (c *aclCheck) presented(operation *Operation, user string) (tried, confirmed bool) {
	if user == "" {
		return true, true
	}
	for _, login := range c.logins[aclSession{operation.Invoke.Session, user}] {
		tried = tried || login.Invoke.Index < operation.Complete.Index
		confirmed = confirmed || login.Complete.Type == OK && login.ReturnIndex < operation.Invoke.Index
	}
	return tried, confirmed
}
