# Two targets set up all they need: `make demo` runs the server, `make test` runs all checks.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# A stamp is named after the content of pyproject.toml, so what is installed follows it.
SUM := $(shell cksum < pyproject.toml | tr -d ' ')
DEMO_STAMP := $(VENV)/.demo-$(SUM)
TEST_STAMP := $(VENV)/.test-$(SUM)
BASELINES_STAMP := $(VENV)/.baselines-$(SUM)
PORT ?= 8000
# Not the Markdown: its snippets are laid out for reading.
SOURCES := axonem_eval.client axonem_eval baselines benchmarks evalserver tests manage.py

.PHONY: baselines demo up test test-postgres lint format types clean-demo

demo: $(DEMO_STAMP)
	@exec $(BIN)/python manage.py up --demo --port $(PORT)

up: $(DEMO_STAMP)
	@exec $(BIN)/python manage.py up --port $(PORT)

# While `make demo` runs elsewhere: adds the reference entries to it as participants add theirs.
baselines: $(BASELINES_STAMP)
	@token=$$($(BIN)/python manage.py make_token organiser@example.org --name 'make baselines' --hours 2) && \
		AXONEM_TOKEN=$$token $(BIN)/baselines reproduce synthetic-shipped --submit --reference \
		--server http://127.0.0.1:$(PORT)

test: $(TEST_STAMP) lint types
	$(BIN)/pytest -n 2 --dist loadfile

test-postgres: $(TEST_STAMP)
	$(BIN)/python tests/with_postgres.py $(BIN)/pytest -n 2 --dist loadfile tests/server || [ $$? -eq 77 ]

lint: $(TEST_STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check $(SOURCES)

format: $(TEST_STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format $(SOURCES)

types: $(TEST_STAMP)
	$(BIN)/mypy

clean-demo:
	rm -rf var

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make demo PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'

# Everything for tests includes everything for the demo: whichever is installed last keeps both.
$(DEMO_STAMP): | $(BIN)/python
	[ -e $(TEST_STAMP) ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,groundtruth,client]'
	@touch $@

$(BASELINES_STAMP): | $(BIN)/python
	[ -e $(TEST_STAMP) ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-e '.[server,groundtruth,baselines]'
	@touch $@

$(TEST_STAMP): | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[server,groundtruth,baselines,view]' --group dev
	@touch $@
