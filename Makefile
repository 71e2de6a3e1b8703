# Everything a person or a CI does here is one of these; how is in scripts/.
MAJORS ?= 15 16 17 18

# One profile everywhere, release, and one target directory, so that all targets share what was compiled once.
export CARGO_TARGET_DIR := $(CURDIR)/target
export PGRX_HOME := $(CURDIR)/target/pgrx

.PHONY: help demo console test build psql bench bench-quick bench-report bench-peers bench-graphs bench-search bench-retention check check-cancel check-latency check-views check-pages advisories adr-index release-check package conformance simulate bank kill-reporters storms provider router router-citus clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build everything and watch 50 workflows run on a private PostgreSQL 15
	@cargo run --release --quiet -p pg_workflow_examples --bin demo -- target/demo

console: ## a web page on the demo's server, at http://127.0.0.1:7788
	@[ -e target/demo/major ] || { echo "there is no demo yet: run make demo first" >&2; exit 1; }
	@scripts/server start target/demo
	@eval "$$(scripts/server env target/demo)" && exec target/release/pg-workflow console

test: ## all tests on PostgreSQL 15 to 18 (MAJORS=15 for one)
	@scripts/test $(MAJORS)

build: ## the extension for PostgreSQL 15, the client, the program pg-workflow and the examples
	@scripts/prepare 15
	scripts/build 15
	cargo build --release -p pg_workflow_client -p pg_workflow_examples -p pg_workflow_cli

psql: ## psql on the demo's server; takes SQL on standard input, stops at the first error
	@[ -e target/demo/major ] || { echo "there is no demo yet: run make demo first" >&2; exit 1; }
	@scripts/server psql target/demo

bench: build ## the speed beside a hand-written queue and chain, in 40 minutes: target/bench/report.json
	cargo run --release -p pg_workflow_bench -- measure
	cargo run --release -p pg_workflow_bench --bin wake

bench-quick: build ## the main ratios in 3 minutes
	cargo run --release -p pg_workflow_bench -- quick

bench-report: ## what `make bench` has measured into docs/performance.md
	cargo run --release -p pg_workflow_bench -- publish

bench-peers: build ## the speed beside other job and workflow systems, in 10 minutes: target/bench/peers.json
	cargo build --release -p pg_workflow_bench
	@target/release/peers
	@target/release/wake --peers

bench-graphs: build ## many workers on one graph beside a countdown written by hand, in 15 minutes: target/bench/graphs.json
	cargo run --release -p pg_workflow_bench --bin graphs

bench-search: build ## searches and a bulk job among a million executions, in 2 minutes
	@scripts/server create target/bench-search 15 fsync=off
	@scripts/server psql target/bench-search -f bench/scripts/search.sql; status=$$?; scripts/server remove target/bench-search; exit $$status

bench-retention: build ## 2000 starts per second with pruning beside them: size, call times and queue by the minute (MINUTES=10)
	@scripts/server create target/bench-retention 15 fsync=off
	@bench/scripts/retention target/bench-retention $(MINUTES); status=$$?; scripts/server remove target/bench-retention; exit $$status

check: export PATH := $(CURDIR)/target/tools/bin:$(PATH)
check: ## format, lints, documentation, the index of decisions, licences, banned crates and sources
	@scripts/prepare 15 deny
	cargo fmt --all --check
	scripts/adr-index --check
	scripts/release-check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cargo clippy --release --locked -p conductor -p pg_workflow_client --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps -p conductor -p pg_workflow_client
	cargo deny --locked check --hide-inclusion-graph licenses bans sources

check-latency: build ## how soon an idle worker gets what is started: p50 at most 5 ms, p95 at most 20 ms
	cargo run --release -p pg_workflow_bench --bin wake -- --limits

check-views: ## how long every view and looking function takes on a million executions: at most 50 ms (EXECUTIONS=1000000)
	@scripts/prepare 15
	scripts/build 15
	cargo run --release -p pg_workflow_tests --bin views -- $(EXECUTIONS)

check-pages: build ## the blocks that each page of the console reads with a million executions: at most twice those with 20,000
	cargo run --release -p pg_workflow_tests --bin pages -- $(EXECUTIONS)

advisories: export PATH := $(CURDIR)/target/tools/bin:$(PATH)
advisories: ## known vulnerabilities in what we depend on; fetches RustSec's database from the network
	@scripts/prepare 15 deny
	cargo deny --locked check --hide-inclusion-graph advisories

adr-index: ## docs/adr/README.md from the records beside it
	scripts/adr-index

release-check: ## whether all versions agree; TAG=v1.2.3 also asks for its changelog and upgrade script
	scripts/release-check $(TAG)

check-cancel: ## how soon a backend stops when it is told to, whatever it does: at most 100 ms
	@scripts/prepare 15
	scripts/build 15
	cargo run --release -p pg_workflow_tests --bin cancel -- $(NAMES)

package: ## tarballs under target/package: the extension for each PostgreSQL major, and the program
	@scripts/package $(MAJORS)

conformance: ## the conductor against the recorded cases of the engine whose semantics it follows
	cargo run --release -p pg_workflow_tests --bin conformance

simulate: ## millions of random workflows under random schedules on the conductor (SCHEDULES=5000000)
	SCHEDULES=$${SCHEDULES:-5000000} cargo test --release -p conductor --test all every_schedule

bank: ## orders whose workers are killed all the time, against an outside ledger (ORDERS=200)
	@scripts/prepare 15
	scripts/build 15
	scripts/server create target/bank 15 "fsync = off" "shared_preload_libraries = ''"
	eval "$$(scripts/server env target/bank)" && export ORDERS=$${ORDERS:-200} \
		PG_WORKFLOW_SERVER_DIR=$(CURDIR)/target/bank PG_WORKFLOW_MAJOR=15 && \
		cargo test --release -p pg_workflow_tests --test engine bank -- --nocapture
	scripts/server remove target/bank

kill-reporters: ## processes that report tasks of one graph and are killed all the time (ROUNDS=20)
	@scripts/prepare 15
	scripts/build 15
	scripts/server create target/bank 15 "fsync = off" "shared_preload_libraries = ''"
	eval "$$(scripts/server env target/bank)" && export ROUNDS=$${ROUNDS:-20} \
		PG_WORKFLOW_SERVER_DIR=$(CURDIR)/target/bank PG_WORKFLOW_MAJOR=15 && \
		cargo test --release -p pg_workflow_tests --test engine killed_reporters
	scripts/server remove target/bank

storms: ## random schedules of sessions that claim, report and change limits, and of starts under concurrency (STORMS=50)
	@scripts/prepare 15
	scripts/build 15
	scripts/server create target/bank 15 "fsync = off" "shared_preload_libraries = ''"
	eval "$$(scripts/server env target/bank)" && export STORMS=$${STORMS:-50} \
		PG_WORKFLOW_SERVER_DIR=$(CURDIR)/target/bank PG_WORKFLOW_MAJOR=15 && \
		cargo test --release -p pg_workflow_tests --test engine -- --nocapture no_schedule_exceeds executions_begin_in_the_order
	scripts/server remove target/bank

provider: ## two minutes of payments at a provider that allows ten calls a second, with 50,000 of one tenant waiting
	@scripts/prepare 15
	scripts/build 15
	scripts/server create target/bank 15 "fsync = off" "shared_preload_libraries = ''"
	eval "$$(scripts/server env target/bank)" && export PAYMENTS=$${PAYMENTS:-50000} DURATION=$${DURATION:-120} \
		PG_WORKFLOW_SERVER_DIR=$(CURDIR)/target/bank PG_WORKFLOW_MAJOR=15 && \
		cargo test --release -p pg_workflow_tests --test engine provider -- --nocapture
	scripts/server remove target/bank

router: ## executions through a router over three servers, while parts move and one is killed (EXECUTIONS=20000)
	@scripts/prepare 15 plproxy
	scripts/build 15
	cargo build --release -p pg_workflow_cli
	@scripts/server create target/router 15 "fsync = off" "shared_preload_libraries = ''"
	eval "$$(scripts/server env target/router)" && export EXECUTIONS=$${EXECUTIONS:-20000} \
		PG_WORKFLOW_SERVER_DIR=$(CURDIR)/target/router PG_WORKFLOW_MAJOR=15 && \
		cargo test --release -p pg_workflow_tests --test cli router::load -- --nocapture
	scripts/server remove target/router

router-citus: ## the same through a router by Citus, of the PostgreSQL that CITUS_PG_CONFIG names
	@scripts/prepare 15
	scripts/build citus
	cargo build --release -p pg_workflow_cli
	EXECUTIONS=$${EXECUTIONS:-20000} PG_WORKFLOW_MAJOR=15 \
		cargo test --release -p pg_workflow_tests --test cli router::citus::through -- --nocapture

clean: ## remove all that was built, and the servers under target/
	@scripts/clean
