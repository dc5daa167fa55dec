# Two commands do all the set-up on a machine with Python 3.11 to 3.13: `make demo` and `make test`.
PYTHON ?= python3.11
BIN = .venv/bin
INSTALLED = .venv/.installed

.PHONY: demo test test-first test-second test-fast lint figures notebooks clean

demo: $(INSTALLED)
	$(BIN)/simbench run demo --out runs/demo
	@echo "Open runs/demo/report.html in a browser."

# two halves side by side, one for each core
SECOND = $(addprefix tests/,export interchange report run stages training whole)
test: lint
	$(MAKE) --no-print-directory --jobs=2 --keep-going test-first test-second

test-first: $(INSTALLED)
	$(BIN)/pytest -q $(addprefix --ignore=,$(SECOND))

test-second: $(INSTALLED)
	$(BIN)/pytest -q $(SECOND)

# the daily loop: what takes over about five seconds is left out
test-fast: lint
	$(BIN)/pytest -q -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# the figure and the table of README.md, from the demo, and whether the table there still holds
figures: demo
	$(BIN)/python docs/make_readme_figures.py runs/demo
	$(BIN)/python docs/make_readme_figures.py runs/demo --check README.md

# the notebooks with their committed outputs, made anew from the scripts beside them
notebooks: $(INSTALLED)
	$(BIN)/python examples/make_notebooks.py

$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[all,test]'
	touch $@

clean:
	rm -rf .venv runs
