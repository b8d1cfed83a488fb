# Commands for development and CI. Requires Python 3.11+, Node 20+, npm and make; no root, no Docker.
PYTHON ?= python3
PY := .venv/bin/python
# Warnings are off, because pip warns for every package that is missing on one of several mirrors. Errors are shown.
COMPILE := -m piptools compile --quiet --upgrade --generate-hashes --strip-extras --no-emit-index-url \
  --no-emit-trusted-host --no-emit-find-links
PIP_INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes

.PHONY: demo test check contracts install lock prerequisites

demo: contracts  ## run the system with one payment from wallet to credit; ONCE=1 exits afterwards
	$(PY) -m stateless_billing.sandbox.demo $(if $(ONCE),--once)

test: contracts  ## run every test, including contracts and browser
	@$(PY) -m tests

check: install .venv-slither/installed  ## check format, lint, types, and the contracts' static analysis and gas
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	tools/forge fmt --check
	tools/slither
	FOUNDRY_PROFILE=gas tools/forge test

contracts: install  ## build contracts/out/PaymentGateway.sol/PaymentGateway.json
	tools/forge build --quiet

install: .venv/installed node_modules/.package-lock.json

prerequisites:  ## report what this machine lacks, before anything is downloaded
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
	for name in dev mutation prove schemathesis slither; do \
	  $(PY) $(COMPILE) --allow-unsafe -o requirements/$$name.txt requirements/$$name.in || exit 1; done

.PHONY: simulate mutants chaos attack outages soak model prove-core

simulate: install  ## run the whole service on a virtual clock with every known fault; SEEDS=20000
	$(PY) -m tests.simulation --seeds $(or $(SEEDS),20000) --processes 2 --faults

mutants: install  ## break each rule once; every mutant must be caught
	$(PY) -m tests.simulation --mutant all --seeds 5000

model: install  ## explore every state of the rules of exactly-once, then remove each rule; takes minutes
	$(PY) -m tests.model

prove-core: install  ## compare the pure core with its specifications: all small ledgers, a million others; SEED=
	$(PY) -m tests.specifications $(if $(SEED),--seed $(SEED))

chaos: contracts  ## kill and stop real processes at random; SEED=, PAYMENTS=500
	$(PY) -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(PAYMENTS),--payments $(PAYMENTS))

attack: contracts  ## play every known attack against real processes; NODES=2 PROCESSES=3 TWICE=1 ONLY="name ..."
	$(PY) -m tests.attack $(ONLY) $(if $(NODES),--nodes $(NODES)) $(if $(PROCESSES),--processes $(PROCESSES)) \
	  $(if $(TWICE),--twice)

outages: contracts  ## fail Stripe, nodes and prices of real processes; print the seconds to recovery; ONLY="name ..."
	$(PY) -m tests.outages $(ONLY)

soak: contracts  ## play seeds, chaos, attacks and outages in turn; HOURS=8, a fraction for a trial; START=
	$(PY) -m tests.soak $(if $(HOURS),--hours $(HOURS)) $(if $(START),--start $(START))

.PHONY: outsider

outsider: contracts  ## drive the system from outside, with a Stripe of the kit's own; ONLY="scenario …"
	$(PY) -m tests.outsider $(ONLY)

.PHONY: mutation

mutation: contracts .venv-mutation/installed  ## mutate the pure core: 95 % must be killed, each survivor explained
	.venv-mutation/bin/python -m tests.mutation

.venv-mutation/installed: requirements.txt requirements/mutation.txt | prerequisites
	"$(PYTHON)" -m venv .venv-mutation
	.venv-mutation/bin/python $(PIP_INSTALL) -r requirements.txt
	.venv-mutation/bin/python $(PIP_INSTALL) -r requirements/mutation.txt
	touch $@

.PHONY: contracts-deep contracts-coverage contracts-mutants contracts-prove contracts-gas deploy

contracts-deep: contracts  ## check every guarantee after each of a million calls; then more fuzzing
	FOUNDRY_PROFILE=deep tools/forge test

contracts-coverage: contracts  ## require full line and branch coverage of contracts/src
	tools/coverage

contracts-mutants: contracts $(if $(PROOFS),.venv-prove/installed)  ## make each mistake of contracts/mutants.toml in a copy; every one must be caught; PROOFS=1
	$(PY) tools/mutants.py $(if $(PROOFS),--proofs)

contracts-prove: install .venv-prove/installed  ## prove each check of contracts/test/symbolic for all inputs; ONLY="words"
	$(PY) tools/prove.py $(ONLY)

.venv-prove/installed: requirements/prove.txt | prerequisites
	"$(PYTHON)" -m venv .venv-prove
	.venv-prove/bin/python $(PIP_INSTALL) -r requirements/prove.txt
	touch $@

contracts-gas: contracts  ## regenerate contracts/snapshots/ after an intended change of gas
	FOUNDRY_PROFILE=gas tools/forge test --gas-snapshot-check false --gas-snapshot-emit true

deploy: contracts  ## dry run; BROADCAST=1 sends, reads back and records; docs/deploying.md lists the variables
	tools/deploy

.venv-slither/installed: requirements/slither.txt | prerequisites
	"$(PYTHON)" -m venv .venv-slither
	.venv-slither/bin/python $(PIP_INSTALL) -r requirements/slither.txt
	touch $@

.PHONY: bench

bench: contracts  ## measure speed against floors and goals and write docs/benchmarks.md; SCALE=0.1 for a tenth
	$(PY) -m tests.bench $(if $(SCALE),--scale $(SCALE))

.PHONY: images

images: contracts  ## make the screenshots in docs/images
	$(PY) -m tests.images

.PHONY: fuzz-api

fuzz-api: contracts .venv-schemathesis/installed  ## fuzz the service with requests generated from /openapi.json
	$(PY) -m tests.fuzz

.venv-schemathesis/installed: requirements/schemathesis.txt | prerequisites
	"$(PYTHON)" -m venv .venv-schemathesis
	.venv-schemathesis/bin/python $(PIP_INSTALL) -r requirements/schemathesis.txt
	touch $@

.PHONY: stripe-check

stripe-check: install  ## ask Stripe itself what no document settles, with STRIPE_TEST_KEY of a sandbox
	@$(PY) -m tests.stripe_check
