# run   the server on 127.0.0.1:8080 with the embedded Postgres and a live demo stream
# test  all tests, on the embedded Postgres or on TEST_DATABASE_URL
# lint  style, types, layers, the migrations' SQL and nginx's configuration
# bench the benchmarks
# fuzz  asks the API what its OpenAPI document allows, and what not, 20,000 times; SEED plays its requests again
# fuzz-nightly  gives what reads foreign bytes whatever leads to new branches of it, for MINUTES each
# lock  pins what the image is built of, at the newest that setup.cfg allows
# audit  asks which of that has known vulnerabilities
# crash-test  kills the server and its database for MINUTES and judges what clients saw; SEED plays its choices again
#
# PYTHON names the interpreter to build .venv with, `make test ARGS="-k frontier"` passes arguments on; without any, three
# processes share the test files (those of TESTS, or all), because most tests wait most of the time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test lint bench fuzz fuzz-nightly crash-test lock audit
run: .venv/.installed-run
	@exec $(BIN)/tidemark run

test: .venv/.installed-dev
	@exec $(BIN)/pytest $(or $(ARGS),--numprocesses=3 --dist=loadfile --no-loadscope-reorder $(TESTS))

# Squawk reads what each migration would send. alembic's own table is left out, and no statement time-out is asked for:
# building an index CONCURRENTLY or validating a constraint rightly takes as long as the table is big.
lint: .venv/.installed-dev
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo > .venv/lint.log || { cat .venv/lint.log; exit 1; }
	@$(BIN)/gixy deploy/nginx.conf > .venv/lint.log || { cat .venv/lint.log; exit 1; }
	@rm -rf .venv/sql && mkdir .venv/sql
	@from=base; for path in migrations/versions/[0-9]*.py; do \
		name=$$(basename $$path .py) to=$$(basename $${path%%_*}); \
		$(BIN)/alembic -c setup.cfg upgrade $$from:$$to --sql > .venv/sql/$$name.sql; \
		sed -i '/^CREATE TABLE alembic_version/,/^);/d' .venv/sql/$$name.sql; \
		from=$$to; \
	done
	@$(BIN)/squawk --pg-version=15.0 --exclude=require-statement-timeout .venv/sql/*.sql > .venv/lint.log \
		|| { cat .venv/lint.log; exit 1; }

bench: .venv/.installed-dev
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

fuzz: .venv/.installed-dev
	@exec $(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED))

# Each module of tests/fuzz that imports atheris is a target. What it has found so far is kept in .fuzz and gone on from.
fuzz-nightly: .venv/.installed-fuzz
	@for path in $$(grep -l '^import atheris' tests/fuzz/*.py); do \
		name=$$(basename $$path .py); mkdir -p .fuzz/$$name; \
		$(BIN)/python -m tests.fuzz.$$name .fuzz/$$name -artifact_prefix=.fuzz/$$name- \
			-max_total_time=$$(( $(or $(MINUTES),10) * 60 )) -timeout=10 -rss_limit_mb=2048; \
	done

crash-test: .venv/.installed-dev
	@exec $(BIN)/python -m tests.robustness.crash run --minutes $(or $(MINUTES),20) $(if $(SEED),--seed $(SEED))

# For the Python and the platforms of deploy/Dockerfile. What is needed to build is what gunicorn_h1c, which comes as
# source, and this program itself are built with. The files name no place that packages come from.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --python-version=3.11 --python-platform=linux \
	--no-annotate --no-emit-index-url --custom-compile-command='make lock'
lock: .venv/.installed-dev
	@$(LOCK) --extra=nats --output-file=deploy/requirements.txt setup.cfg
	@printf 'setuptools >= 77\nwheel\n' | $(LOCK) --output-file=deploy/build-requirements.txt -

audit: .venv/.installed-dev
	@exec $(BIN)/python -m tests.audit deploy/requirements.txt deploy/build-requirements.txt

# What `run` needs is a part of what `dev` installs, so either order of the two leaves a complete environment.
.venv/.installed-run: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing Tidemark into .venv"
	@$(PIP) -e '.[embedded,demo]'
	@touch $@

.venv/.installed-dev: setup.cfg pyproject.toml | $(BIN)/python
	@echo "Installing Tidemark and its development tools into .venv"
	@$(PIP) -e '.[dev]'
	@touch .venv/.installed-run $@

.venv/.installed-fuzz: setup.cfg pyproject.toml | .venv/.installed-dev
	@$(PIP) -e '.[fuzz]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Tidemark needs Python 3.11 or newer as '$(PYTHON)'; name another one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
		|| { echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
