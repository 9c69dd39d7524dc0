# Two targets set up all they need: `make demo` runs the server, `make test` runs all checks.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A stamp is named after the content of these two, so what is installed follows them.
SUM := $(shell cat pyproject.toml requirements.lock | cksum | tr -d ' ')
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --constraint requirements.lock
DEMO_STAMP := $(VENV)/.demo-$(SUM)
TEST_STAMP := $(VENV)/.test-$(SUM)
BASELINES_STAMP := $(VENV)/.baselines-$(SUM)
PORT ?= 8000
# Not the Markdown: its snippets are laid out for reading.
SOURCES := axonem_eval baselines benchmarks evalserver tests manage.py .ci

.PHONY: baselines demo up test check test-postgres chaos lint format types lock audit hooks clean-demo

demo: $(DEMO_STAMP)
	@exec $(BIN)/python manage.py up --demo --port $(PORT)

up: $(DEMO_STAMP)
	@exec $(BIN)/python manage.py up --port $(PORT)

# While `make demo` runs elsewhere: adds the reference entries to it as participants add theirs.
baselines: $(BASELINES_STAMP)
	@token=$$($(BIN)/python manage.py make_token organiser@example.org --name 'make baselines' --hours 2) && \
		AXONEM_TOKEN=$$token $(BIN)/baselines reproduce synthetic-shipped --submit --reference \
		--server http://127.0.0.1:$(PORT)

# A run starts hundreds of programs, and each would compile all its modules anew.
unexport PYTHONDONTWRITEBYTECODE

# On a fresh clone mypy takes half a minute of one core: the tests begin meanwhile. Three processes on two cores,
# because a quarter of the time tests wait for the programs that they start.
test: $(TEST_STAMP) lint
	$(BIN)/mypy & types=$$!; $(BIN)/pytest -n 3 --dist loadfile; tests=$$?; wait $$types && exit $$tests

# What one runs while writing: no test that is slow, drives a browser or starts a whole server; few random examples.
check: $(TEST_STAMP) lint
	$(BIN)/mypy & types=$$!; $(BIN)/pytest -n 2 --dist loadfile -m 'not slow and not browser and not live' --hypothesis-profile quick; \
		tests=$$?; wait $$types && exit $$tests

# Without those that take long and whose answers do not depend on the database: every page, every format of
# file, the proxy before it, and `up`, which brings a database of its own.
ONCE := image permission_table disclosure embargo submit_formats damaged_registration docs_site nginx start_up
test-postgres: $(TEST_STAMP)
	$(BIN)/python tests/with_postgres.py $(BIN)/pytest -n 3 --dist loadfile tests/server \
		$(ONCE:%=--ignore tests/server/test_%.py) || [ $$? -eq 77 ]

# Breaks a running server at random, in both shapes; an hour. SEED=2 breaks it in another order.
FAULTS ?= 100
SEED ?= 1
chaos: $(TEST_STAMP)
	$(BIN)/python -m tests.chaos --shape embedded --faults $(FAULTS) --seed $(SEED)
	$(BIN)/python -m tests.chaos --shape production --faults $(FAULTS) --seed $(SEED)

lint: $(TEST_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check $(SOURCES)

format: $(TEST_STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format $(SOURCES)

types: $(TEST_STAMP)
	$(BIN)/mypy

# The newest versions that pyproject.toml allows; run `make test` with them before they are committed.
lock: $(TEST_STAMP)
	$(BIN)/python .ci/lock.py

# Lint, format and types before each commit.
hooks: $(TEST_STAMP)
	$(BIN)/pre-commit install

# Known vulnerabilities of the locked versions. 77: the list cannot be reached from here.
audit: $(TEST_STAMP)
	$(BIN)/python .ci/audit.py || [ $$? -eq 77 ]

clean-demo:
	rm -rf var

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make demo PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) 'pip>=25.1'

# Everything for tests includes everything for the demo: whichever is installed last keeps both.
$(DEMO_STAMP): | $(BIN)/python
	[ -e $(TEST_STAMP) ] || $(LOCKED) -e '.[server,groundtruth,client]'
	@touch $@

$(BASELINES_STAMP): | $(BIN)/python
	[ -e $(TEST_STAMP) ] || $(LOCKED) -e '.[server,groundtruth,baselines]'
	@touch $@

$(TEST_STAMP): | $(BIN)/python
	$(INSTALL) 'pip>=25.1'
	$(LOCKED) -e '.[server,groundtruth,baselines,view]' --group dev
	@touch $@
