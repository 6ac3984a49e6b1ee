# make run    builds everything and starts the chat
# make test   all tests, with everything they need
# make help   the rest
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run demo binaries dev test test-rust test-frontend test-browser fuzz-api describe kube-tools kube-tools-ahead e2e lint lint-charts charts-golden chart-docs bench load instructions instructions-baseline measure measure-nodes torture needs clean

NPM := npm --prefix frontend --no-audit --no-fund --loglevel=error
DIST := frontend/dist/index.html
HADOLINT := target/hadolint/bin/hadolint
SCHEMATHESIS := target/schemathesis/bin/schemathesis
FRONTEND := $(shell find frontend/src frontend/public frontend/index.html frontend/*.ts -type f 2>/dev/null)

help: ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 30

run: ## Builds the chat and starts it on http://127.0.0.1:8080, with its data in ./data.
	$(MAKE) binaries PROFILE=release BINARIES=chat-server
	exec target/release/chat-server $(ARGS)

demo: ## The same with temporary data: three people and a long conversation.
	$(MAKE) binaries PROFILE=release BINARIES=chat-server
	exec target/release/chat-server demo $(ARGS)

# What the images hold is built by this, too.
PROFILE ?= dev
BINARIES ?= chat-server chat-operator
binaries: $(DIST) ## The programs, with the front end inside; PROFILE=release for people.
	cargo build --locked --profile $(PROFILE) $(addprefix -p ,$(BINARIES))

dev: frontend/node_modules/.done ## The front end with live reload on :5173, for a server on :8080.
	$(NPM) run dev

test: needs kube-tools-ahead test-frontend test-rust e2e test-browser ## All tests; installs what a bare Debian lacks.

test-frontend: frontend/node_modules/.done
	$(NPM) run typecheck
	$(NPM) test

# The front end is built first, because the server's tests serve it. One call builds everything once,
# the examples and the server's binary among it; the benches then run each of their cases once. With
# `sabotage` a test can break the server on purpose, to see whether the crash tests complain.
test-rust: $(DIST)
	cargo test --locked --workspace --features chat-server/sabotage
	cargo test --locked -p benches --benches

# The features are those of the other tests, so that nothing is built twice; the server's own tests are
# named because its program comes with them. E2E= names some of the scenarios.
e2e: needs ## The operator and its charts on a real control plane, with real servers as pods.
	cargo test --locked --workspace --features chat-server/sabotage --test e2e --test server --no-run
	cargo test --locked --workspace --features chat-server/sabotage --test e2e -- $(E2E)

# In real browsers, against the binary that the tests above have built.
test-browser: $(DIST) test-rust
	$(NPM) run e2e

# The features are those of the other tests, so that nothing is built twice.
fuzz-api: needs $(SCHEMATHESIS) ## schemathesis over the OpenAPI document, on SQLite and PostgreSQL; a minute or two.
	SCHEMATHESIS=$(abspath $(SCHEMATHESIS)) cargo test --locked --workspace --features chat-server/sabotage \
	  --test server -- --ignored --test-threads 1 whatever_is_asked

describe: ## Writes anew the front end's types of the wire, from those of the server.
	WRITE_GENERATED=1 cargo test --locked -p chat-sdk --test typescript types

lint: frontend/node_modules/.done $(HADOLINT) ## Formatting, clippy, the rules of the front end and the Dockerfile.
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --test e2e -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps -p chat-sdk -p chat-operator -p kubelab
	$(NPM) run lint
	$(HADOLINT) Dockerfile

lint-charts: ## The Helm charts, with Helm 3 and 4: examples, refusals, what they render.
	scripts/charts.sh

charts-golden: ## Writes anew what the charts are expected to render.
	scripts/charts.sh --golden

chart-docs: ## Writes the charts' README.md and schema from the comments in values.yaml and the definition.
	scripts/charts.sh --docs

bench: ## Criterion benches; some minutes.
	cargo bench --locked -p benches

# LOAD= is what it is to measure: `make load LOAD="direct --store postgres"`; without it, its help.
LOAD ?= --help
load: ## The load generator, and a server of its own to measure; LOAD="fan-out --listeners 1000".
	cargo build --release --locked -p chat-server -p benches --bin chat-server --bin chat-load
	target/release/chat-load $(LOAD)

# In CI, too: the figures depend on the compiler, not on what else the machine does. Only the features
# that they need, because everything is built optimised for it.
INSTRUCTIONS := cargo bench --locked -p benches --no-default-features --bench instructions
instructions: needs ## Instructions a delivery, a send, a connection, against those accepted.
	$(INSTRUCTIONS)

instructions-baseline: needs ## Accepts the figures as they are now; the commit says why.
	$(INSTRUCTIONS) -- --accept

measure: ## What a reader does who does not read; two minutes.
	cargo bench --locked -p chat-server --bench measure -- slow-reader

measure-nodes: needs ## Several servers: rolling restart, storm of reconnects; some minutes.
	cargo bench --locked -p chat-server --bench cluster -- rolling
	cargo bench --locked -p chat-server --bench cluster -- storm

# The server is built like for people, because what is measured here is told them; SEED= for another
# run than the next one, TORTURE= for further options (torture --help).
MINUTES ?= 10
torture: needs ## The fault run: three nodes, and everything around them breaks for MINUTES.
	cargo build --release --locked -p chat-server -p torture
	target/release/torture --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(TORTURE)

needs:
	scripts/needs.sh

kube-tools: ## The programs of a Kubernetes control plane, for the operator's tests; builds what is missing.
	scripts/kube-tools.sh

# While everything else is built: the first time it takes ten minutes. Whoever needs them waits for it,
# and says what is wrong if it failed.
kube-tools-ahead:
	@mkdir -p target
	@nohup scripts/kube-tools.sh </dev/null >/dev/null 2>target/kube-tools.log &

clean: ## Removes what was built. Leaves ./data alone.
	cargo clean
	rm -rf frontend/dist frontend/node_modules

# Into a folder of its own: nothing of the machine's Python changes.
$(HADOLINT): scripts/hadolint.txt
	rm -rf target/hadolint
	python3 -m pip install --quiet --no-deps --require-hashes --target target/hadolint -r $<
	touch $@

# Likewise; every version is named, so that a run is the same tomorrow.
$(SCHEMATHESIS): scripts/fuzz/requirements.txt
	rm -rf target/schemathesis
	python3 -m venv target/schemathesis
	target/schemathesis/bin/python -m pip install --quiet --no-deps -r $<
	touch $@

frontend/node_modules/.done: frontend/package.json frontend/package-lock.json frontend/.npmrc
	$(NPM) ci
	touch $@

$(DIST): frontend/node_modules/.done $(FRONTEND)
	$(NPM) run build
	touch $@
	@# Cargo does not see a folder that appears: the binary embeds what is there when this is compiled.
	touch chat-server/src/assets.rs
