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

check: install  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	tools/forge fmt --check

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
