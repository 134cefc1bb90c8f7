# make demo   set up, then run the shipped demo (runs/demo)
# make test   set up, then lint, type check, import contracts, tests (about ten minutes on two cores)
# make test-all    the same with the slow tests too; make test-fast  with the quickest alone
# make setup  only set up
# make docs   write the generated pages anew; make site  the documentation as a site (site/index.html)
# make dist   build the source archive and the wheel (dist/), and check both
# make engines-test   install a CPU build of vLLM in an environment of its own and test the vLLM and server engines with it
# make verl-test      install verl in an environment of its own (no GPU) and test verl as a trainer with it
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
FAST := domains evidence plan recipe registry rundir selection

.PHONY: setup demo test test-all test-fast lint engines-test verl-test docs site dist clean

setup: $(VENV)/.run

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by exact version: a range would take the newest build
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo "setting up $(VENV) (about two minutes)"
	$(PIP) install $(TORCH)
	$(PIP) install -c constraints.txt -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install -c constraints.txt -e '.[train,openai,ray,lora,dev]'
	@$(PIP) install -c constraints.txt -e '.[gym]' || echo "reasoning-gym was not installed (it needs a C compiler): its tests are skipped"
	@touch $@

$(VENV)/.site: $(VENV)/.dev
	$(PIP) install -c constraints.txt -e '.[site,release]'
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/midway demo

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/house.py

test: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

# also what is marked slow: Ray clusters, kills, trainings, the theory's long simulations
test-all: lint $(VENV)/.site
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

test-fast: lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow" $(addprefix tests/,$(FAST))

engines-test:
	PYTHON=$(PYTHON) sh tools/engines-test.sh

verl-test: $(VENV)/.dev
	PYTHON=$(PYTHON) TORCH=$(TORCH) TEST_PYTHON=$(BIN)/python sh tools/verl-test.sh

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

site: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "written: site/index.html"

dist: $(VENV)/.site
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) site dist .venv-vllm .venv-verl .mypy_cache .ruff_cache .pytest_cache
