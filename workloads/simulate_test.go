package workloads

import (
	"math/rand"
)

// simulation plays a correct ensemble: one register a key, operations of many
// processes in flight at a time, each taking effect at one moment between its
// invocation and its completion; some lose their answer, and then take effect
// before, later or never.
type simulation struct {
	rng       *rand.Rand
	generator Generator
	history   []Op
	keys      map[string]*simulatedKey
	zxid      int64
	late      []Op // changes without an answer that may yet take effect
}

type simulatedKey struct {
	value   int64
	version int32
	mzxid   int64
}

type simulatedProcess struct {
	process int
	session int64
	op      Op
	stage   int // 0 idle, 1 invoked, 2 took effect
}

// simulate records about count operations.
func simulate(seed int64, count, concurrency int, infoPercent int) []Op {
	return simulateWith(newRegisterGenerator(Options{Concurrency: concurrency}), seed, count, concurrency, infoPercent)
}

// simulateHot is simulate with all operations on one key.
func simulateHot(seed int64, count, concurrency int, infoPercent int) []Op {
	generator := &registerGenerator{
		active: []registerSlot{{key: "hot", left: count}}, known: make(map[string]registerKnowledge),
	}
	return simulateWith(generator, seed, count, concurrency, infoPercent)
}

func simulateWith(generator Generator, seed int64, count, concurrency int, infoPercent int) []Op {
	s := &simulation{
		rng: rand.New(rand.NewSource(seed)), keys: make(map[string]*simulatedKey), zxid: 0x100000000,
		generator: generator,
	}
	processes := make([]simulatedProcess, concurrency)
	for i := range processes {
		processes[i] = simulatedProcess{process: i, session: int64(i + 1)}
	}
	for started := 0; started < count; {
		if len(s.late) > 0 && s.rng.Intn(50) == 0 {
			s.apply(s.late[0])
			s.late = s.late[1:]
		}
		p := &processes[s.rng.Intn(concurrency)]
		switch p.stage {
		case 0:
			p.op = s.generator.Next(s.rng)
			p.op.Process, p.op.Session = p.process, p.session
			s.record(p.op)
			started++
			p.stage = 1
		case 1:
			s.takeEffect(p, infoPercent)
		default:
			s.record(p.op)
			s.generator.Completed(p.op)
			if p.op.Type == Info {
				p.process += concurrency
			}
			p.stage = 0
		}
	}
	return s.history
}

func (s *simulation) record(op Op) {
	op.Index = len(s.history)
	op.TimeNs = int64(op.Index) * 1000
	s.history = append(s.history, op)
}

func (s *simulation) takeEffect(p *simulatedProcess, infoPercent int) {
	p.stage = 2
	if p.op.F == "read" || s.rng.Intn(100) >= infoPercent {
		p.op = s.apply(p.op)
		return
	}
	invocation := p.op
	p.op.Type, p.op.Version, p.op.Error = Info, -1, "connection loss"
	switch s.rng.Intn(3) {
	case 0:
		s.apply(invocation)
	case 1:
		s.late = append(s.late, invocation)
	}
}

// apply carries an operation out on the register and returns its completion.
func (s *simulation) apply(op Op) Op {
	key := s.keys[op.Key]
	op.Type = OK
	switch op.F {
	case "read":
		op.Zxid, op.Version = s.zxid, -1
		if key != nil {
			op.Value, op.Version, op.Mzxid = key.value, key.version, key.mzxid
		}
	case "write", "cas":
		s.zxid++
		value, _ := op.Value.(int64)
		if op.F == "cas" {
			if key == nil || key.version != op.Version {
				op.Type, op.Version, op.Zxid, op.Error = Fail, -1, s.zxid, "bad version"
				return op
			}
			_, value, _ = casValues(op.Value)
		}
		if key == nil {
			key = &simulatedKey{version: -1}
			s.keys[op.Key] = key
		}
		key.value, key.mzxid = value, s.zxid
		key.version++
		op.Zxid, op.Mzxid, op.Version = s.zxid, s.zxid, key.version
	}
	return op
}
