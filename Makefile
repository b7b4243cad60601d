# Two commands matter: `make demo` and `make test`. Both set everything up themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Marks a finished set-up; made anew when what it depends on changes.
READY := $(VENV)/.ready

.PHONY: demo example test test-cluster test-long lint types bench bench-kubernetes reference clean help

help:
	@sed -n 's/^## //p' Makefile

## make demo       set up, then the bundled drill: a bad release under load, and nobody notices
demo: $(READY)
	$(BIN)/failback drill --bundled

## make example    a Flask service on published packages: a real breakage under load, its cause, and the fix
example: $(READY)
	$(BIN)/python examples/notes/walkthrough.py

## make test       set up, then lint, types and every test
test: $(READY) lint
	$(BIN)/python tools/prepare_tests.py
	$(BIN)/python tools/run_tests.py $(PYTEST_ARGS)
	$(BIN)/python tools/cluster_tests.py $(PYTEST_ARGS)

## make test-cluster   only the tests that need a cluster, on the testbed
test-cluster: $(READY)
	$(BIN)/python tools/prepare_tests.py
	$(BIN)/python tools/cluster_tests.py $(PYTEST_ARGS)

## make test-long  what takes its time: every kill, and on a cluster every scenario, and a world that breaks
test-long: $(READY)
	$(BIN)/python tools/prepare_tests.py
	testbed/peers helm contour || test $$? -eq 77  # tests that need them say so where they cannot be built
	$(BIN)/python -m pytest -m "not cluster" tests/local/test_killed.py tests/local/test_services_killed.py $(PYTEST_ARGS)
	FAILBACK_CLUSTER_TESTS="cluster and long" $(BIN)/python tools/cluster_tests.py $(PYTEST_ARGS)

## make lint       ruff, mypy --strict, the arrows of the house, the generated reference
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check src tests bench tools testbed examples
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/make_reference.py --check

## make bench      the figures of the README, each beside its peer
bench: $(READY)
	$(BIN)/python -m bench $(BENCH_ARGS)

## make bench-kubernetes   failback, kubectl, Helm and Argo Rollouts head to head on the testbed; then scale, on fake nodes
bench-kubernetes: $(READY)
	$(BIN)/python tools/prepare_tests.py
	testbed/up
	testbed/peers
	PATH="$(CURDIR)/$(BIN):$$PATH" testbed/run $(BIN)/python -m bench.kubernetes
	PATH="$(CURDIR)/$(BIN):$$PATH" testbed/run $(BIN)/python -m bench.peers
	testbed/fake-nodes up
	testbed/run $(BIN)/python -m bench.scale
	testbed/fake-nodes down

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("failback needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Name one: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

clean:
	rm -rf $(VENV)
