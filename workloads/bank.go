package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const (
	bankRoot     = "/zoolab-bank"
	bankAccounts = 6
	bankStart    = 100 // in each account

	// snapshotAttempts bounds how often a transaction is tried again when
	// another one came between.
	snapshotAttempts = 5
)

// bankWorkload moves money between znodes. A transfer reads two accounts and
// sets both in one multi, each at the version that was read. A read of all
// accounts ends with a multi of nothing but checks of the versions: it succeeds
// only if all of them were current at one point in the order of changes. So a
// read is a snapshot without any promise about multi-reads. Answers are lists with an item for
// each account: [account version balance], where the version is the one that was found and
// the balance, of a transfer, the one that is set.
var bankWorkload = Workload{
	Name:         "bank",
	Doc:          "transfers between accounts with multi: the total of every snapshot is constant, no account is overdrawn",
	Kinds:        []string{"read", "transfer"},
	NewGenerator: func(Options) Generator { return bankGenerator{} },
	Setup:        setupBank,
	Do:           withService(doBank),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{
			{Name: "bank-total", Check: func(history []Op) Result { return CheckBank(history, bounds) }},
			{Name: "bank-order", Check: func(history []Op) Result { return CheckBankOrder(history, bounds) }},
		}
	},
}

type bankGenerator struct{}

func (bankGenerator) Next(rng *rand.Rand) Op {
	if rng.Intn(100) < 35 {
		return Op{Type: Invoke, F: "read", Version: -1}
	}
	from := rng.Intn(bankAccounts)
	to := (from + 1 + rng.Intn(bankAccounts-1)) % bankAccounts
	return Op{Type: Invoke, F: "transfer", Value: []any{int64(from), int64(to), 1 + rng.Int63n(10)}, Version: -1}
}

func (bankGenerator) Completed(Op) {}

func (bankGenerator) Final() []Op {
	ops := make([]Op, bankAccounts) // several, so that several members are asked
	for i := range ops {
		ops[i] = Op{Type: Invoke, F: "read", Version: -1}
	}
	return ops
}

func bankPath(account int64) string { return fmt.Sprintf("%s/a%d", bankRoot, account) }

func setupBank(ctx context.Context, client Client) error {
	if err := setupRoot(bankRoot)(ctx, client); err != nil {
		return err
	}
	for account := range int64(bankAccounts) {
		if _, _, err := client.Create(ctx, bankPath(account), encodeInt(bankStart)); err != nil && !errors.Is(err, ErrNodeExists) {
			return fmt.Errorf("create %s: %w", bankPath(account), err)
		}
	}
	return nil
}

func doBank(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "read":
		return readBank(ctx, client, op)
	case "transfer":
		values := ints(op.Value)
		if len(values) != 3 {
			return refuse(op, fmt.Sprintf("a transfer is [from to amount], not %v", op.Value))
		}
		return transfer(ctx, client, op, values[0], values[1], values[2])
	default:
		return refuse(op, fmt.Sprintf("the bank workload has no operation %q", op.F))
	}
}

func readBank(ctx context.Context, client Service, op Op) Op {
	for attempt := 1; ; attempt++ {
		var found []any
		var checks []Part
		for account := range int64(bankAccounts) {
			balance, check, zxid, err := balanceOf(ctx, client, account)
			if err != nil {
				return complete(op, false, zxid, "get", err)
			}
			found, checks = append(found, []any{account, int64(check.Version), balance}), append(checks, check)
		}
		zxid, err := client.Multi(ctx, checks)
		if errors.Is(err, ErrBadVersion) && attempt < snapshotAttempts {
			continue
		}
		if err == nil {
			op.Value = found
		}
		return complete(op, false, zxid, "multi of checks", err)
	}
}

// balanceOf reads an account, and gives the check that it is still so.
func balanceOf(ctx context.Context, client Service, account int64) (balance int64, check Part, zxid int64, err error) {
	data, stat, zxid, err := client.Get(ctx, bankPath(account))
	if err != nil {
		return 0, Part{}, zxid, err
	}
	if balance, err = strconv.ParseInt(string(data), 10, 64); err != nil {
		return 0, Part{}, zxid, fmt.Errorf("%w: account %d holds %q", ErrNotDone, account, data)
	}
	return balance, Part{Path: bankPath(account), Version: stat.Version}, zxid, nil
}

func transfer(ctx context.Context, client Service, op Op, from, to, amount int64) Op {
	for attempt := 1; ; attempt++ {
		source, take, zxid, err := balanceOf(ctx, client, from)
		if err != nil {
			return complete(op, false, zxid, "get", err)
		}
		target, give, zxid, err := balanceOf(ctx, client, to)
		if err != nil {
			return complete(op, false, zxid, "get", err)
		}
		if source < amount {
			return refuse(op, "the account holds too little")
		}
		take.Data, give.Data = encodeInt(source-amount), encodeInt(target+amount)
		zxid, err = client.Multi(ctx, []Part{take, give})
		if errors.Is(err, ErrBadVersion) && attempt < snapshotAttempts {
			continue // it certainly changed nothing
		}
		done := complete(op, true, zxid, "multi", err)
		if done.Type != Fail { // also without an answer: the versions say where it can have taken effect
			done.Value = []any{[]any{from, int64(take.Version), source - amount}, []any{to, int64(give.Version), target + amount}}
		}
		return done
	}
}

// CheckBank judges the snapshots: each must have all accounts, none overdrawn,
// and the total that the bank was opened with. Only transactions that keep the
// total were ever sent, and none without knowing that the source holds enough,
// so that any order of whole transactions keeps both; a snapshot that breaks
// one has seen half of a transaction, or one twice. Operations of unknown
// outcome need no care: done or not, they keep the total.
func CheckBank(history []Op, bounds Bounds) Result {
	return checkBank(history, bounds, bankAccounts, bankAccounts*bankStart)
}

// CheckBankOrder looks for one order of transfers and snapshots, in agreement with real time,
// in which each finds the versions and the balances that those before have left: a snapshot
// may have the right total and be old. The rules, and why they are sound, are those of
// CheckMultiRegister: every answer came with a multi at the versions that were read.
func CheckBankOrder(history []Op, bounds Bounds) Result {
	shape := multiShape{registers: bankAccounts, start: bankStart, word: "account"}
	return shape.check(Result{Checker: "bank-order", Verdict: VerdictOK, Stats: map[string]any{}}, history, bounds)
}

// balancesIn gives the balances that a snapshot shows, in the order of accounts; those of
// other labs are plain numbers.
func balancesIn(value any) []int64 {
	list, _ := value.([]any)
	balances := make([]int64, 0, len(list))
	for account, item := range list {
		balance, plain := item.(int64)
		if fields := ints(item); !plain && len(fields) == 3 && fields[0] == int64(account) {
			balance, plain = fields[2], true
		}
		if !plain {
			return nil
		}
		balances = append(balances, balance)
	}
	return balances
}

// CheckForeignBank judges the snapshots of a bank that another lab has opened, with
// as many accounts and as much money as the first snapshot shows.
func CheckForeignBank(history []Op, bounds Bounds) Result {
	for i := range history {
		if op := &history[i]; op.F == "read" && op.Type == OK && op.Process >= 0 {
			var total int64
			balances := balancesIn(op.Value)
			for _, balance := range balances {
				total += balance
			}
			return checkBank(history, bounds, len(balances), total)
		}
	}
	return checkBank(history, bounds, 0, 0)
}

func checkBank(history []Op, bounds Bounds, accounts int, whole int64) Result {
	result := Result{Checker: "bank-total", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	snapshots := 0
	faults := &faultList{max: bounds.MaxFailures}
	for i := range operations {
		operation := &operations[i]
		if operation.Invoke.F != "read" || operation.Complete.Type != OK {
			continue
		}
		snapshots++
		balances, total := balancesIn(operation.Complete.Value), int64(0)
		for account, balance := range balances {
			total += balance
			if balance < 0 {
				faults.add("", fmt.Sprintf("read %d found account %d at %d: it was overdrawn", operation.Invoke.Index, account, balance), operation)
			}
		}
		switch {
		case len(balances) != accounts:
			faults.add("", fmt.Sprintf("read %d shows %d accounts instead of %d", operation.Invoke.Index, len(balances), accounts), operation)
		case total != whole:
			faults.add("", fmt.Sprintf("read %d found %d in all accounts together instead of %d: %v", operation.Invoke.Index, total, whole, balances), operation)
		}
	}
	result.Stats["snapshots"] = snapshots
	return faults.judge(result, fmt.Sprintf("all %d snapshots have a total of %d", snapshots, whole), "snapshots that no order of whole transfers gives")
}

// ints reads a list of integers, nil if value is none.
func ints(value any) []int64 {
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	out := make([]int64, 0, len(list))
	for _, item := range list {
		v, ok := item.(int64)
		if !ok {
			return nil
		}
		out = append(out, v)
	}
	return out
}
