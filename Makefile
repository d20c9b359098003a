# What people and CI run. Needs python3 (3.11 or newer), make and git; the rest is installed under .venv and .nox.
BOOT := .venv/boot
NOX  := $(BOOT)/bin/nox --non-interactive
LLM  ?= auto
# Two at a time, the longest first: while one waits for other processes the other has both cores.
# Lint and types come before them, for they make the wheels.
ABREAST := server-3.11 sdk-3.8 sdk-3.9 sdk-3.10 sdk-3.11 sdk-3.12 sdk-3.13 lowest instrument server-3.13 integrations browser e2e clients otlp docs

.DEFAULT_GOAL := help
.PHONY: $(ABREAST) help demo test check matrix matrix-clients real-llm bench bench-peers docs serve format lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(BOOT)/ready  ## Log real LLM calls and look at them (ONCE=1 exits after the table, LLM=local asks a real local model)
	@$(NOX) --no-error-on-missing-interpreters -s demo -- $(if $(ONCE),--once) --llm $(LLM)

test: $(BOOT)/ready  ## Everything that CI checks: lint, types, both packages on every Python, end to end, docs
	$(NOX) -s lint types
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(ABREAST)
	$(NOX) -s coverage

$(filter-out docs,$(ABREAST)): $(BOOT)/ready
	$(NOX) -s $@

check: $(BOOT)/ready  ## The quick part: lint, types and the tests on one Python
	$(NOX) -s lint types "sdk-3.11" "server-3.11"

matrix: $(BOOT)/ready  ## The SDK's tests on Python 3.8 to 3.13
	$(NOX) -s sdk lowest instrument integrations coverage

matrix-clients: $(BOOT)/ready  ## Instrumentation with the newest client libraries on PyPI and the oldest supported
	$(NOX) -s matrix-clients

real-llm: $(BOOT)/ready  ## Let the clients and the examples ask a real language model on this machine's processor
	$(NOX) -s real-llm

bench: $(BOOT)/ready  ## Measure: microseconds per log call, events per second ingested
	$(NOX) -s bench

bench-peers: $(BOOT)/ready  ## Compare with other products: WHAT=sdk (half an hour), servers (ten minutes) or gateways (six), ONLY=phoenix, QUICK=1, HELP=1
	$(NOX) -s bench-peers -- $(if $(WHAT),--what $(WHAT)) $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(HELP),--help)

docs: $(BOOT)/ready  ## Build the documentation into docs/_build/html
	$(NOX) -s docs

serve: $(BOOT)/ready  ## Start the server of this checkout on 127.0.0.1:8787
	@$(NOX) -s serve

format: $(BOOT)/ready  ## Format the code and mend what the linter can
	$(NOX) -s format

lock: $(BOOT)/ready  ## Resolve the pinned versions of tests and tools anew
	$(NOX) -s lock

clean:  ## Remove everything that was installed or built here
	rm -rf .venv .nox dist docs/_build .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  packages/server/src/watchllm_server/pages/static/vendor tests/browser/output

$(BOOT)/ready: requirements-boot.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "WatchLLM is built with Python 3.11 or newer, and python3 here is $$(python3 -V 2>&1)."; exit 1; }
	@python3 -c 'import ensurepip' 2>/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null; } || \
	  { echo "Debian keeps Python's venv in a package of its own. Please run: sudo apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(BOOT) (once) ..." && rm -rf $(BOOT) && python3 -m venv $(BOOT)
	@$(BOOT)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-boot.txt
	@touch $@
