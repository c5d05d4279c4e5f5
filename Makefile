# The two commands of the README are `make demo` and `make test`; `make help` lists the rest.
CARGO ?= cargo
BIN := target/debug/tenantry
export TESTBED_CACHE ?= $(CURDIR)/.cache/testbed

.PHONY: help demo up test test-fast chaos check bench build docs testbed
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

build:
	$(CARGO) build --locked -p tenantry

demo: build ## the whole life of a tenant environment on this machine: no cluster, no services
	examples/saas/demo.sh $(BIN)

up: build ## the same, kept running: prints the URL, a token and three commands to try
	$(BIN) up --templates examples/saas

test: ## installs what the tests need, builds the test bed, runs everything
	tests/run.sh all

test-fast: ## the inner loop: no cluster, nothing that takes long
	tests/run.sh fast

testbed: ## builds the test bed's programs and images
	testbed/install.sh
	testbed/build.sh

chaos: ## operations while everything around them breaks: SEED=7 MINUTES=30 STORE=postgres|sqlite
	tests/chaos.sh "$(SEED)" "$(MINUTES)" "$(STORE)"

check: ## format, lints, docs with warnings as errors, licences, advisories
	tests/check.sh

bench: ## ratios against peers, side by side
	bench/run.sh

docs: build ## writes the generated references again
	$(BIN) reference docs/reference
