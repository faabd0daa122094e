# Two commands are enough: `make run` and `make test`. Each makes .venv from the lock files first.

PYTHON ?= python3
BIN := .venv/bin
LOCK := requirements/dev.txt
CHANNELS ?= 100000
PROGRAMMES ?= 1000000
# One process more than processors: the tests spend a third of their time waiting for programs.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')

.DEFAULT_GOAL := help
.PHONY: help setup run test coverage test-long fault-tools servers chromium screenshots lint format bench demo-data openapi wheel image-rehearsal lock

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/complete  ## Install everything that development needs into .venv (done by the other targets)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r
NEW_VENV := $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; name one with make PYTHON=...")' \
	&& rm -rf .venv && $(PYTHON) -m venv .venv

# The lock files are complete. Without --no-deps, pip would look for the newest version of a package that is named with an extra.
.venv/complete: $(LOCK)
	@$(NEW_VENV)
	$(INSTALL) $(LOCK)
	touch $@ .venv/running

# Only what running needs, in a .venv that is not there yet or was made for running.
.venv/running: requirements/run.txt
	@$(NEW_VENV)
	$(INSTALL) requirements/run.txt
	touch $@

run: .venv/running  ## Install what running needs, start on http://127.0.0.1:8081/, and print how to sign in
	@$(BIN)/python manage.py up

test: lint chromium servers  ## Lint, types, contracts, all tests but the long ones, and on PostgreSQL those that can be
	$(BIN)/python -m pytest -p tests.on_postgresql --numprocesses auto
	TESTS_ALSO_TVARR=1 $(BIN)/python -m pytest -p tests.on_postgresql --numprocesses auto
	@# Servers that the tests of a file share are started once; which files come first, `tests/conftest.py` says.
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

coverage: setup chromium servers  ## Which lines and branches the tests reach; it takes half as long again
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report term

test-long: setup fault-tools servers  ## The long fault and soak tests
	$(BIN)/python -m pytest -m long -p tests.faults.figures --numprocesses $(JOBS)

# PostgreSQL and Redis; the tests start servers of their own from them.
servers:
	@[ -n "$$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null; command -v postgres)" ] && command -v redis-server >/dev/null && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql redis-server && exit; \
	fi; \
	echo "The tests need the servers of PostgreSQL and Redis; install them (Debian: apt-get install postgresql redis-server)." >&2; exit 1

# The tests of the pages drive a Chromium.
chromium: setup
	@$(BIN)/python -m tests.browser.chromium >/dev/null 2>&1 && exit; \
	if [ -z "$$CHROMIUM" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; \
		else \
			$(BIN)/playwright install chromium; \
		fi; \
	fi; \
	$(BIN)/python -m tests.browser.chromium >/dev/null

# The fault tests compile a small library and a program that uses SQLite, and trace system calls.
fault-tools:
	@command -v gcc >/dev/null && command -v strace >/dev/null && gcc -E -x c -include sqlite3.h /dev/null >/dev/null 2>&1 && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev libsqlite3-dev strace && exit; \
	fi; \
	echo "The long tests need gcc, the headers of the C library and of SQLite, and strace; install them (Debian: apt-get install gcc libc6-dev libsqlite3-dev strace)." >&2; exit 1

lint: setup  ## Formatting, lint, types, import contracts, templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z --cached --others --exclude-standard 'templates/*.html' | xargs -0 -r $(BIN)/djade --check --target-version 5.2
	$(BIN)/djlint --lint --quiet templates

format: setup  ## Bring the code into the one form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## Speed and memory, as ratios against a floor of the same run
	$(BIN)/python -m benchmarks

demo-data: setup  ## Fill the database with fictional channels and programmes (CHANNELS=, PROGRAMMES=)
	$(BIN)/python manage.py prepare
	$(BIN)/python manage.py demo_data --channels $(CHANNELS) --programmes $(PROGRAMMES)

screenshots: setup chromium  ## Take pictures of all pages into screenshots/, and renew those in docs/
	$(BIN)/python -m tests.browser.screenshots

openapi: setup  ## Write docs/openapi.yaml from the code
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

wheel: setup  ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build --no-isolation

# Beside root it takes debootstrap, unshare and a mirror of Debian.
image-rehearsal:  ## Carry out the Dockerfile's steps in a clean root, start the result, back up, stop
	$(PYTHON) deploy/rehearse_image.py

lock: setup  ## Renew the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --all-extras pyproject.toml --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --all-extras --group dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --constraint requirements/dev.txt --group build --output-file requirements/build.txt
