# What people and CI run. `make help` lists it.

GO ?= go
SEEDS ?= 5000
# Inputs per fuzz target. A count, not a duration: go test fails now and then with
# "context deadline exceeded" when a duration ends (golang.org/issue/75804).
FUZZCOUNT ?= 200000
PLAN ?= lab/plan.yaml
# For the tests of one package, which take ten times as long beside those of others on a slow machine.
PATIENCE ?= 30m

# Every fuzz target, as package:name.
FUZZ = $(shell grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9]+' . | sed -E 's|^\./(.*)/[^/]+:func (.*)|./\1:\2|')

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: build
build: ## build bin/node (the server and its tools) and bin/lab
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/ ./node ./lab

.PHONY: test
test: ## all tests, what they need is installed first where it can be
	scripts/setup
	$(GO) test -timeout $(PATIENCE) ./...

.PHONY: go-zookeeper
go-zookeeper: ## go-zookeeper's own tests, unchanged, against this server
	$(GO) test ./node/clienttest -run GoZookeeper -go-zookeeper -v -timeout 15m

.PHONY: mixed
mixed: ## ensembles of this server and Apache ZooKeeper 3.8.0, and the migration to and fro
	scripts/setup
	$(GO) test ./node/mixedtest -full -v -timeout 30m

.PHONY: race
race: ## all tests under the race detector
	$(GO) test -race -short -timeout $(PATIENCE) ./...

.PHONY: lint
lint: ## gofmt, vet and staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo 'run gofmt -w on these files'; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: fuzz
fuzz: ## every fuzz target with FUZZCOUNT (200000) inputs
	@for f in $(FUZZ); do \
		echo "== $$f"; $(GO) test -run '^$$' -fuzz "^$${f#*:}$$" -fuzztime $(FUZZCOUNT)x "$${f%%:*}" || exit 1; \
	done

.PHONY: stress
stress: ## attack a server in full strength: 10,000 sessions, a million watches, a million children, ...
	ZOOLAB_STRESS=1 $(GO) test ./node/servetest -count 1 -v -timeout 30m \
		-run 'IdleSessions|ClientsThatNeverRead|HalfFrames|AnnouncedFrames|ManyWatches|ManyChildren|SlowStarts|LyingRecords'

.PHONY: sim
sim: ## simulate SEEDS (5000) ensembles under faults
	$(GO) run ./node/sim/simrun -seeds $(SEEDS)

.PHONY: image
image: ## build the images zoolab/node and zoolab/sidecar
	docker/build.sh

.PHONY: lab
lab: ## run the chaos lab on containers (PLAN=lab/plan.yaml, six minutes at most); reports in store/
	scripts/setup
	$(GO) run ./lab -plan $(PLAN)

.PHONY: lab-full
lab-full: ## every workload, side by side and alone, under every family of faults: for a night
	$(MAKE) lab PLAN=lab/plan-full.yaml

.PHONY: mutants
mutants: ## plant known bugs in the server; simulator and lab must catch each
	scripts/setup
	$(GO) run ./lab/mutants

.PHONY: mutants-full
mutants-full: ## the same, with every bug that can be caught on containers planted there too
	scripts/setup
	$(GO) run ./lab/mutants -full

.PHONY: bench
bench: ## measure five members against five of Apache ZooKeeper and five of etcd, in turns, ten minutes at most
	scripts/setup
	$(GO) run ./bench

.PHONY: clean
clean: ## remove what was built and what a killed lab left; runs in store/ stay
	$(GO) run ./lab clean
	rm -rf bin
