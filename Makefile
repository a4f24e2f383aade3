# Everything runs in a virtual environment of its own: `make demo` and `make test` need Python >= 3.11, git and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_RUN ?= demo-run

.PHONY: help demo test check format slow bench clean

help:
	@echo "make demo    set up, make a small data set with the rehearsal model, show one of its dialogues"
	@echo "make test    set up, then lint, type-check and test"
	@echo "make check   lint and type-check only"
	@echo "make slow    the tests that take minutes or need an extra"
	@echo "make bench   the benchmarks; JSON goes to benchmarks/results/local"
	@echo "make format  let ruff put the code in form"
	@echo "make clean   remove what the other targets made"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ToolFlow needs Python >= 3.11; name one with: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'

$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable .
	@touch $@ $(VENV)/.core

demo: $(VENV)/.core
	rm -rf $(DEMO_RUN)
	env -u OPENAI_API_KEY -u OPENAI_BASE_URL $(BIN)/toolflow synth -n 20 -o $(DEMO_RUN)
	$(BIN)/toolflow export $(DEMO_RUN) --format openai -o $(DEMO_RUN)/openai.jsonl
	$(BIN)/toolflow explain $(DEMO_RUN)

test: check
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pyright

slow: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[embedded]'
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO_RUN) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
