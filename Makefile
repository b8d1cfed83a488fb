# Everything a newcomer or CI runs. Needs Python 3.11+, Node 20+, npm and make; no root, no Docker.
PYTHON ?= python3
PY := .venv/bin/python
# Without warnings: pip has one for every package that one of several mirrors does not hold. Errors are shown.
COMPILE := -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url \
  --no-emit-trusted-host --no-emit-find-links
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes

.PHONY: demo test check contracts install lock prerequisites

demo: contracts  ## one payment from the wallet to the credit; ONCE=1 exits afterwards
	$(PY) -m stateless_billing.sandbox.demo $(if $(ONCE),--once)

test: contracts  ## every test, the contracts' and the browser's included
	@$(PY) -m tests

check: install .venv-slither/installed  ## format, lint, types, static analysis and gas of the contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	tools/forge fmt --check
	tools/slither
	FOUNDRY_PROFILE=gas tools/forge test

contracts: install  ## contracts/out/PaymentGateway.sol/PaymentGateway.json
	tools/forge build --quiet

install: .venv/installed node_modules/.package-lock.json

prerequisites:  ## one sentence that says what this machine lacks, before anything is downloaded
	@PYTHON="$(PYTHON)" tools/prerequisites

.venv/installed: requirements.txt requirements/dev.txt | prerequisites
	"$(PYTHON)" -m venv .venv
	$(PY) $(PIP_INSTALL) -r requirements.txt
	$(PY) $(PIP_INSTALL) -r requirements/dev.txt
	touch $@

node_modules/.package-lock.json: package.json package-lock.json | prerequisites
	npm ci --no-fund --no-audit --loglevel=error
	touch $@

lock: install  ## pin the newest releases of requirements/*.in, with hashes
	$(PY) -m pip install -qq pip-tools
	$(PY) $(COMPILE) -o requirements.txt requirements/base.in
	for name in dev mutation schemathesis slither; do \
	  $(PY) $(COMPILE) --allow-unsafe -o requirements/$$name.txt requirements/$$name.in || exit 1; done

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

.venv-mutation/installed: requirements.txt requirements/mutation.txt | prerequisites
	"$(PYTHON)" -m venv .venv-mutation
	.venv-mutation/bin/python $(PIP_INSTALL) -r requirements.txt
	.venv-mutation/bin/python $(PIP_INSTALL) -r requirements/mutation.txt
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

.venv-slither/installed: requirements/slither.txt | prerequisites
	"$(PYTHON)" -m venv .venv-slither
	.venv-slither/bin/python $(PIP_INSTALL) -r requirements/slither.txt
	touch $@

.PHONY: bench

bench: contracts  ## how fast it is, beside what cannot be avoided; writes docs/benchmarks.md. SCALE=0.1 for a tenth
	$(PY) -m tests.bench $(if $(SCALE),--scale $(SCALE))

.PHONY: fuzz-api

fuzz-api: contracts .venv-schemathesis/installed  ## what /openapi.json allows, and what it does not, put to the service
	$(PY) -m tests.fuzz

.venv-schemathesis/installed: requirements/schemathesis.txt | prerequisites
	"$(PYTHON)" -m venv .venv-schemathesis
	.venv-schemathesis/bin/python $(PIP_INSTALL) -r requirements/schemathesis.txt
	touch $@
