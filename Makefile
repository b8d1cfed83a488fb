# Everything a newcomer or CI runs. Needs Python 3.11+, Node 20+, npm and make; no root, no Docker.
PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python

.PHONY: demo test check contracts install lock

demo: contracts  ## one payment from the wallet to the credit; ONCE=1 exits afterwards
	$(PY) -m stateless_billing.sandbox.demo $(if $(ONCE),--once)

test: contracts  ## every test, the contracts' and the browser's included
	tools/forge test
	$(PY) -m pytest

check: install .venv-slither/installed  ## format, lint, types, static analysis and gas of the contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	tools/forge fmt --check
	tools/slither
	FOUNDRY_PROFILE=gas tools/forge test

contracts: install  ## contracts/out/PaymentGateway.sol/PaymentGateway.json
	tools/forge build --quiet

install: .venv/installed node_modules/.package-lock.json

.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-fund --no-audit --loglevel=error
	touch $@

lock: install  ## pin the newest releases of requirements*.in, with hashes
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links -o requirements.txt requirements.in
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links -o requirements-dev.txt requirements-dev.in
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links -o requirements-mutation.txt requirements-mutation.in
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links -o requirements-slither.txt requirements-slither.in
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links -o requirements-schemathesis.txt requirements-schemathesis.in

.PHONY: simulate mutants chaos

simulate: install  ## SEEDS=20000: the whole service on a virtual clock, with every fault we know of
	$(PY) -m tests.simulation --seeds $(or $(SEEDS),20000) --processes 2 --faults

mutants: install  ## each rule broken once; every mutant must be caught
	$(PY) -m tests.simulation --mutant all --seeds 5000

chaos: contracts  ## SEED=, PAYMENTS=500: real processes on this machine, killed and stopped at random for a few minutes
	$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(PAYMENTS),--payments $(PAYMENTS))

.PHONY: mutation

mutation: contracts .venv-mutation/installed  ## mutants of the pure core: 95 % must be killed, each survivor explained
	.venv-mutation/bin/python -m tests.mutation

.venv-mutation/installed: requirements.txt requirements-mutation.txt
	$(PYTHON) -m venv .venv-mutation
	.venv-mutation/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	.venv-mutation/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutation.txt
	touch $@

.PHONY: contracts-deep contracts-coverage contracts-mutants contracts-gas deploy

contracts-deep: contracts  ## a million calls, every promise checked after each; then more fuzzing
	FOUNDRY_PROFILE=deep tools/forge test

contracts-coverage: contracts  ## lines and branches of contracts/src: all of them, or it fails
	tools/coverage

contracts-mutants: contracts  ## each mistake of contracts/mutants.toml alone, in a copy; every one must be noticed
	$(PY) tools/mutants.py

contracts-gas: contracts  ## write contracts/snapshots/ anew, after a change of gas that was meant
	FOUNDRY_PROFILE=gas tools/forge test --gas-snapshot-check false --gas-snapshot-emit true

deploy: contracts  ## dry; BROADCAST=1 sends, reads back and records; the variables are in docs/deploying.md
	tools/deploy

.venv-slither/installed: requirements-slither.txt
	$(PYTHON) -m venv .venv-slither
	.venv-slither/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-slither.txt
	touch $@

.PHONY: bench

bench: contracts  ## how fast it is, beside what cannot be avoided; writes docs/benchmarks.md. SCALE=0.1 for a tenth
	$(PY) -m tests.bench $(if $(SCALE),--scale $(SCALE))

.PHONY: fuzz-api

fuzz-api: contracts .venv-schemathesis/installed  ## what /openapi.json allows, and what it does not, put to the service
	$(PY) -m tests.fuzz

.venv-schemathesis/installed: requirements-schemathesis.txt
	$(PYTHON) -m venv .venv-schemathesis
	.venv-schemathesis/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-schemathesis.txt
	touch $@
