package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strconv"
)

const (
	pipelineRoot = "/zoolab-pipeline"
	pipelineKeys = 6
)

// pipelineWorkload sends several requests of a session at once, and lets sessions move on
// while requests of theirs are under way. The value of a burst is a list of requests
// [kind key value]; its completion adds how each ended, the value that it wrote or read,
// and header zxid and mzxid of its answer: [kind key value end zxid mzxid]. A leap is a
// burst of two halves: after the first half the session moves on, without waiting long for
// answers.
var pipelineWorkload = Workload{
	Name:         "pipeline",
	Doc:          "several requests of a session at once, also while it moves: carried out and answered in the order of sending",
	Kinds:        []string{"burst", "look"},
	Roams:        true,
	NewGenerator: func(Options) Generator { return &pipelineGenerator{} },
	Setup: func(ctx context.Context, client Client) error {
		for _, path := range pipelinePaths() {
			if err := setupRoot(path)(ctx, client); err != nil {
				return err
			}
		}
		return nil
	},
	Do: withService(doPipeline),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "fifo", Check: func(history []Op) Result { return CheckPipeline(history, bounds) }}}
	},
}

func pipelinePaths() []string {
	paths := []string{pipelineRoot}
	for i := range pipelineKeys {
		paths = append(paths, fmt.Sprintf("%s/p%d", pipelineRoot, i))
	}
	return paths
}

type pipelineGenerator struct{ nextValue int64 }

func (g *pipelineGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Version: -1}
	switch choice := rng.Intn(100); {
	case choice < 60:
		op.F, op.Value = "burst", g.requests(rng, 2+rng.Intn(7))
	case choice < 75:
		op.F = "leap"
		first, second := g.requests(rng, 1+rng.Intn(3)), g.requests(rng, 1+rng.Intn(3))
		op.Value = []any{int64(1 + rng.Intn(4)), first, second}
	default:
		op.F, op.Key = "look", fmt.Sprintf("p%d", rng.Intn(pipelineKeys))
	}
	return op
}

func (g *pipelineGenerator) requests(rng *rand.Rand, count int) (requests []any) {
	for range count {
		key := fmt.Sprintf("p%d", rng.Intn(pipelineKeys))
		switch choice := rng.Intn(10); {
		case choice < 6:
			g.nextValue++
			requests = append(requests, []any{string(RequestWrite), key, g.nextValue})
		case choice < 9:
			requests = append(requests, []any{string(RequestRead), key, nil})
		default:
			requests = append(requests, []any{string(RequestSync), key, nil})
		}
	}
	return requests
}

func (g *pipelineGenerator) Completed(Op) {}

func (g *pipelineGenerator) Final() (ops []Op) {
	for i := range pipelineKeys {
		ops = append(ops, Op{Type: Invoke, F: "look", Key: fmt.Sprintf("p%d", i), Version: -1})
	}
	return ops
}

// How a request of a pipeline ended.
const (
	endOK     = "ok"
	endFail   = "fail"   // certainly not done
	endInfo   = "info"   // of unknown outcome
	endBroken = "broken" // the member broke the protocol; of unknown outcome
)

func doPipeline(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "look":
		return readRegister(ctx, client, pipelineRoot+"/"+op.Key, op)
	case "burst":
		return completePipeline(op, sendPipeline(ctx, client, op.Value, 0))
	case "leap":
		parts := op.Value.([]any)
		ends := sendPipeline(ctx, client, parts[1], parts[0].(int64))
		return completePipeline(op, append(ends, sendPipeline(ctx, client, parts[2], 0)...))
	default:
		return refuse(op, fmt.Sprintf("the pipeline workload has no operation %q", op.F))
	}
}

// sendPipeline sends the requests of a list and returns them with their ends.
func sendPipeline(ctx context.Context, client Service, list any, leaveMs int64) (ends []any) {
	asked := list.([]any)
	requests := make([]Request, len(asked))
	for i, item := range asked {
		fields := item.([]any)
		requests[i] = Request{Kind: RequestKind(fields[0].(string)), Path: pipelineRoot + "/" + fields[1].(string)}
		if value, writes := fields[2].(int64); writes {
			requests[i].Data = encodeInt(value)
		}
	}
	for i, answer := range client.Pipeline(ctx, requests, leaveMs) {
		fields := asked[i].([]any)
		value, end := fields[2], endOK
		switch {
		case errors.Is(answer.Err, ErrProtocol):
			end = endBroken
		case Definite(answer.Err):
			end = endFail
		case answer.Err != nil:
			end = endInfo
		case requests[i].Kind == RequestRead:
			value = nil // a znode that nobody wrote yet
			if number, err := strconv.ParseInt(string(answer.Data), 10, 64); err == nil {
				value = number
			} else if len(answer.Data) > 0 {
				value = string(answer.Data) // nobody wrote it: the checker must see it
			}
		}
		ends = append(ends, []any{fields[0], fields[1], value, end, answer.Zxid, answer.Stat.Mzxid})
	}
	return ends
}

// completePipeline ends a burst: it is of unknown outcome if one of its writes is.
func completePipeline(op Op, ends []any) Op {
	op.Type, op.Value = OK, ends
	failed := 0
	for _, item := range ends {
		fields := item.([]any)
		switch end := fields[3]; {
		case end == endFail:
			failed++
		case end != endOK && fields[0] == string(RequestWrite):
			op.Type, op.Error = Info, "a write has an unknown outcome"
		}
	}
	if op.Type == OK && failed == len(ends) {
		op.Type, op.Error = Fail, "nothing was carried out"
	}
	return op
}
