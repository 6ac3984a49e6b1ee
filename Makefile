# make run    builds everything and starts the chat
# make test   all tests, with everything they need
# make help   the rest
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run demo dev test test-rust test-frontend test-browser lint bench measure measure-nodes torture needs kube-tools clean

NPM := npm --prefix frontend --no-audit --no-fund --loglevel=error
DIST := frontend/dist/index.html
FRONTEND := $(shell find frontend/src frontend/public frontend/index.html frontend/*.ts -type f 2>/dev/null)

help: ## This list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

run: $(DIST) ## Builds the chat and starts it on http://127.0.0.1:8080, with its data in ./data.
	cargo build --release --locked -p chat-server
	exec target/release/chat-server $(ARGS)

demo: $(DIST) ## The same with temporary data: three people and a long conversation.
	cargo build --release --locked -p chat-server
	exec target/release/chat-server demo $(ARGS)

dev: frontend/node_modules/.done ## The front end with live reload on :5173, for a server on :8080.
	$(NPM) run dev

test: needs test-frontend test-rust test-browser ## All tests; installs what a bare Debian lacks.

test-frontend: frontend/node_modules/.done
	$(NPM) run typecheck
	$(NPM) test

# The front end is built first, because the server's tests serve it. One call builds everything once,
# the examples and the server's binary among it; the benches then run each of their cases once. With
# `sabotage` a test can break the server on purpose, to see whether the crash tests complain.
test-rust: $(DIST)
	cargo test --locked --workspace --features chat-server/sabotage
	cargo test --locked -p benches --benches

# In real browsers, against the binary that the tests above have built.
test-browser: $(DIST) test-rust
	$(NPM) run e2e

lint: frontend/node_modules/.done ## Formatting, clippy, the front end's rules.
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps -p chat-sdk
	$(NPM) run lint

bench: ## Criterion benches; some minutes.
	cargo bench --locked -p benches

measure: ## Memory of idle connections, and what a reader does who does not read; some minutes.
	cargo bench --locked -p chat-server --bench measure -- idle
	cargo bench --locked -p chat-server --bench measure -- idle --conversations 1
	cargo bench --locked -p chat-server --bench measure -- idle --conversations 20
	cargo bench --locked -p chat-server --bench measure -- slow-reader

measure-nodes: needs ## Several servers: rolling restart, storm of reconnects, saturation, crossing; some minutes.
	cargo bench --locked -p chat-server --bench cluster -- rolling
	cargo bench --locked -p chat-server --bench cluster -- storm
	cargo bench --locked -p chat-server --bench cluster -- sends
	cargo bench --locked -p chat-server --bench cluster -- across

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

clean: ## Removes what was built. Leaves ./data alone.
	cargo clean
	rm -rf frontend/dist frontend/node_modules

frontend/node_modules/.done: frontend/package.json frontend/package-lock.json frontend/.npmrc
	$(NPM) ci
	touch $@

$(DIST): frontend/node_modules/.done $(FRONTEND)
	$(NPM) run build
	touch $@
	@# Cargo does not see a folder that appears: the binary embeds what is there when this is compiled.
	touch chat-server/src/assets.rs
