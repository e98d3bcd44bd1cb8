# Everything a developer runs. Needs make and a Python 3.11+; say another one with PYTHON=.
PYTHON ?= python3
RUN := .venv/bin
DEV := .venv-dev/bin
# Parallel test processes: one per core.
WORKERS ?= auto
m ?=
of ?=

LOCK := $(DEV)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --extra build pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup run work check test test-ha fix locks lock openapi previous migration bench docs

help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv-dev/.installed ## Install what developing needs into .venv-dev

run: .venv/.installed ## Serve with demonstration data: migrates var/dispatch.db, API and worker in one process
	$(RUN)/dispatch serve --demo

work: .venv/.installed ## Run a worker of its own beside the API
	$(RUN)/dispatch work

check: .venv-dev/.installed locks ## Look without running: format, lint, types, contracts, generated files
	$(DEV)/ruff format --check .
	$(DEV)/ruff check .
	$(DEV)/mypy
	$(DEV)/lint-imports
	$(DEV)/dispatch db lint
	$(DEV)/hadolint Dockerfile
	$(DEV)/dispatch openapi --check
	$(DEV)/dispatch docs --check

test: .venv-dev/.installed ## Run all tests, on SQLite and on a PostgreSQL of their own
	$(DEV)/pytest -n $(WORKERS)

test-ha: .venv-dev/.installed .venv-ha/.installed ## Break a cluster of three PostgreSQL under Patroni (optional; Debian, ten minutes)
	$(DEV)/pytest -m ha --session-timeout=600 tests/e2e/ha

fix: .venv-dev/.installed ## Format the code and repair what can be repaired
	$(DEV)/ruff check --fix .
	$(DEV)/ruff format .

locks: ## Refuse addresses in the lock files
	@! grep -n '://' requirements.lock requirements-dev.lock requirements-ha.lock

lock: .venv-dev/.installed ## Write the lock files again from pyproject.toml (U=--upgrade for newer versions)
	$(LOCK) $(U) --output-file requirements.lock
	$(LOCK) $(U) --extra dev --constraints requirements.lock --output-file requirements-dev.lock
	$(LOCK) $(U) --extra ha --constraints requirements-dev.lock --output-file requirements-ha.lock

previous: ## When a release was made, keep its description, with which the next one is compared: make previous of=v1.2.0
	@test -n "$(of)" || { echo 'say of which release: make previous of=v1.2.0' >&2; exit 2; }
	git show "$(of):openapi/dispatch.json" > openapi/previous.json.new
	mv openapi/previous.json.new openapi/previous.json

openapi: .venv-dev/.installed ## Write openapi/dispatch.json
	$(DEV)/dispatch openapi

migration: .venv-dev/.installed ## Write a migration from the tables: make migration m="what it does"
	@test -n "$(m)" || { echo 'say what it does: make migration m="add the colour of orders"' >&2; exit 2; }
	$(DEV)/python -c 'import sys; from dispatch.db import migrate; migrate.make_revision(sys.argv[1])' "$(m)"
	$(DEV)/ruff check --quiet --select I --fix migrations
	$(DEV)/ruff format --quiet migrations

bench: .venv-dev/.installed ## Measure, and write benchmarks/results/ (m=working_time for one of them)
	$(DEV)/python -m benchmarks $(m)

docs: .venv-dev/.installed ## Write the generated pages of docs/
	$(DEV)/dispatch docs

.venv/.installed: requirements.lock pyproject.toml .ci/install
	$(PYTHON) .ci/install .venv requirements.lock
	@touch $@

.venv-ha/.installed: requirements-ha.lock pyproject.toml .ci/install
	$(PYTHON) .ci/install .venv-ha requirements-ha.lock ydiff python-etcd # they have no wheels
	@touch $@

.venv-dev/.installed: requirements-dev.lock pyproject.toml .ci/install
	$(PYTHON) .ci/install .venv-dev requirements-dev.lock
	@touch $@
