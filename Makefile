# Two commands on a fresh machine: `make demo` and `make test`. Both install into .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-slow bench-small docs lint dist clean

demo: $(VENV)/installed
	$(BIN)/cxrkeras cv --backbone densenet121 --method cotrain --out runs/demo

# Compiled files are kept, whatever the surroundings say: many tests start processes.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 $(BIN)/pytest -m "not slow" -n $(JOBS) --dist loadfile --no-loadscope-reorder

test-slow: $(VENV)/installed-test
	$(BIN)/pytest -m slow

# That each measurement runs; no time is asserted.
bench-small: $(VENV)/installed-test
	$(BIN)/python -m experiments.bench --small

# The docs site, in site/; a link that leads nowhere fails it.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/installed-docs
	$(BIN)/mkdocs build -f docs/site/mkdocs.yml

lint: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A wheel and a source archive, built where nothing else is installed, and checked.
dist: $(VENV)/bin/pip
	$(INSTALL) build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

clean:
	rm -rf $(VENV) build dist site *.egg-info

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: setup.cfg constraints.txt | $(VENV)/bin/pip
	$(INSTALL) -e .
	touch $@

$(VENV)/installed-test: setup.cfg constraints.txt | $(VENV)/bin/pip
	$(INSTALL) -e '.[test]'
	touch $@ $(VENV)/installed

$(VENV)/installed-docs: setup.cfg constraints.txt | $(VENV)/bin/pip
	$(INSTALL) -e '.[docs]'
	touch $@ $(VENV)/installed
