# What people and continuous integration run. `make` alone lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test run bench lint fmt build check-conf chart image clients fuzz links clean

TARGET := $(or $(CARGO_TARGET_DIR),target)
GATEWAY := $(TARGET)/debug/perijove-gateway
INGEST := $(TARGET)/debug/perijove-ingest
SANDBOX := $(TARGET)/debug/perijove-sandbox
STEP := scripts/step
CARGO_LOCKED := --workspace --locked
DOC_STRICT := RUSTDOCFLAGS='-D warnings'

# Where scripts/setup puts Node if the system has none that serves.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Start a sandbox cluster and the gateway, show what happens when a validator dies
	@scripts/setup demo
	@scripts/demo

test: ## Everything: format, lints, unit and end-to-end tests, configurations, real clients, fuzzing
	@$(STEP) 'set-up' scripts/setup test
	@$(STEP) 'format' cargo fmt --all --check
	@$(STEP) 'lints' cargo clippy $(CARGO_LOCKED) --all-targets -- -D warnings
	@$(STEP) 'documentation' env $(DOC_STRICT) cargo doc $(CARGO_LOCKED) --no-deps
	@$(STEP) 'build' cargo build $(CARGO_LOCKED)
	@$(STEP) 'tests' cargo test $(CARGO_LOCKED)
	@$(STEP) 'configurations' scripts/check-conf $(GATEWAY) $(INGEST)
	@$(STEP) 'chart' tests/chart/run $(GATEWAY) $(INGEST) $(SANDBOX)
	@$(STEP) 'links' scripts/check-links
	@$(STEP) 'demo' env CI=true scripts/demo </dev/null
	@$(STEP) 'real clients' node tests/clients/run.mjs --gateway $(GATEWAY)
	@$(STEP) 'fuzz' scripts/fuzz 15

run: ## Build for release and run the gateway with conf/gateway.yaml
	@scripts/setup build
	cargo build --release --locked -p perijove-gateway
	$(TARGET)/release/perijove-gateway run -c conf/gateway.yaml

bench: ## Compare with nginx, HAProxy, Varnish and a bare Pingora proxy; measure caching, failover, ingest
	@scripts/setup bench
	tests/bench/run

lint: ## Check format, lints and what the documentation links to
	cargo fmt --all --check
	cargo clippy $(CARGO_LOCKED) --all-targets -- -D warnings
	$(DOC_STRICT) cargo doc $(CARGO_LOCKED) --no-deps

fmt: ## Format the code
	cargo fmt --all

build: ## Build everything for development
	@scripts/setup build
	cargo build $(CARGO_LOCKED)

check-conf: build ## Check every configuration file
	scripts/check-conf $(GATEWAY) $(INGEST)

clients: build ## Run the real clients directly and through the gateway
	@scripts/setup test
	node tests/clients/run.mjs --gateway $(GATEWAY)

fuzz: ## Fuzz every target for a minute
	@scripts/setup test
	scripts/fuzz 60

chart: build ## Test chart, dashboards, rules and scripts of delivery
	@scripts/setup test
	tests/chart/run $(GATEWAY) $(INGEST) $(SANDBOX)

image: build ## Build the images around what is built, without a registry, and run them confined (as root)
	@scripts/setup image
	tests/image/run $(GATEWAY) $(INGEST) $(SANDBOX)

links: ## Check the links of the documentation
	scripts/check-links

clean: ## Remove what was built and installed in this folder
	cargo clean
	rm -rf .venv tests/clients/node_modules gateway/fuzz/target ingest/fuzz/target
