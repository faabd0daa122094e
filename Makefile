# Two commands are enough: `make run` and `make test`. Both create .venv from the lock files first.

PYTHON ?= python3
BIN := .venv/bin
LOCK := requirements/dev.txt
CHANNELS ?= 100000
PROGRAMMES ?= 1000000
# One more than processors, because tests spend a third of their time waiting for other programs.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')

# Test files are in memory if there is space. On a disk, each commit of SQLite takes about 20 ms.
IN_MEMORY := $(shell [ "$$(df -m --output=avail /dev/shm 2>/dev/null | tail -n 1)" -gt 6000 ] 2>/dev/null && echo TMPDIR=/dev/shm)
PYTEST := $(IN_MEMORY) $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup run test coverage test-long fault-tools servers chromium screenshots lint format bench demo-data openapi schemas wheel image-rehearsal lock

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/complete  ## Install everything for development into .venv (other targets do this)

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r
NEW_VENV := $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed. Choose one with make PYTHON=...")' \
	&& rm -rf .venv && $(PYTHON) -m venv .venv

# The lock files are complete. Without --no-deps, pip would look for newer versions of packages with extras.
.venv/complete: $(LOCK)
	@$(NEW_VENV)
	$(INSTALL) $(LOCK)
	touch $@ .venv/running

# Only the packages that running needs.
.venv/running: requirements/run.txt
	@$(NEW_VENV)
	$(INSTALL) requirements/run.txt
	touch $@

run: .venv/running  ## Install, start on http://127.0.0.1:8081/, and print how to sign in
	@$(BIN)/python manage.py up

test: lint chromium servers  ## Run lint and all tests except the long ones, and database tests on PostgreSQL too
	$(PYTEST) -p tests.on_postgresql --numprocesses $(JOBS)
	TESTS_ALSO_TVARR=1 $(PYTEST) -p tests.on_postgresql --numprocesses $(JOBS)
	@# Tests of one file share servers. `tests/conftest.py` sets the order of files.
	$(PYTEST) --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

coverage: setup chromium servers  ## Run the tests with coverage (takes 1.5 times as long)
	$(PYTEST) --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --cov --cov-report term

test-long: setup fault-tools servers  ## Run the long fault and soak tests
	$(BIN)/python -m pytest -m long -o faulthandler_timeout=3600 -p tests.faults.figures --numprocesses $(JOBS)

# The servers of WebDAV and S3 have their own environment, because they need other versions of our libraries.
.venv-servers/complete: requirements/servers.txt
	@rm -rf .venv-servers && $(PYTHON) -m venv .venv-servers
	.venv-servers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	touch $@

# The tests start their own servers.
servers: .venv-servers/complete
	@PATH="$$PATH:/usr/sbin"; [ -n "$$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null; command -v postgres)" ] && command -v redis-server >/dev/null && command -v nginx >/dev/null && command -v caddy >/dev/null && command -v sshd >/dev/null && command -v age >/dev/null && exit; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql redis-server nginx caddy openssh-server openssh-client age && exit; \
	fi; \
	echo "The tests need PostgreSQL, Redis, nginx, Caddy, OpenSSH and age. Install them (Debian: apt-get install postgresql redis-server nginx caddy openssh-server openssh-client age)." >&2; exit 1

# The tests of the pages use Chromium.
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
	echo "The long tests need gcc, the headers of the C library and of SQLite, and strace. Install them (Debian: apt-get install gcc libc6-dev libsqlite3-dev strace)." >&2; exit 1

lint: setup  ## Check formatting, lint, types, import contracts and templates
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z --cached --others --exclude-standard 'templates/*.html' | xargs -0 -r $(BIN)/djade --check --target-version 5.2
	$(BIN)/djlint --lint --quiet templates

format: setup  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## Measure speed and memory, compared with a baseline of the same run
	$(BIN)/python -m benchmarks

demo-data: setup  ## Add fictional channels and programmes to the database (CHANNELS=, PROGRAMMES=)
	$(BIN)/python manage.py prepare
	$(BIN)/python manage.py demo_data --channels $(CHANNELS) --programmes $(PROGRAMMES)

screenshots: setup chromium  ## Take screenshots of all pages into screenshots/, and update those in docs/
	$(BIN)/python -m tests.browser.screenshots

openapi: setup  ## Write docs/openapi.yaml from the code
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

schemas: setup  ## Write docs/schemas from the code
	$(BIN)/python manage.py shell --no-imports -c "from tvarr_backup.portable.json_schemas import write; write()"

wheel: setup  ## Build the wheel and the source archive into dist/
	$(BIN)/python -m build --no-isolation

# This needs root, debootstrap, unshare and a Debian mirror.
image-rehearsal:  ## Build the image without Docker, start it, back up, stop
	$(PYTHON) deploy/rehearse_image.py

lock: setup  ## Update the lock files from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --extra postgres --extra redis pyproject.toml --output-file requirements/run.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --all-extras pyproject.toml --output-file requirements/image.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --all-extras --group dev pyproject.toml --output-file requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --constraint requirements/dev.txt --group build --output-file requirements/build.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade --no-project --group servers --output-file requirements/servers.txt
