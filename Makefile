# Two commands do all the set-up on a machine with Python 3.11 to 3.13: `make demo` and `make test`.
PYTHON ?= python3.11
BIN = .venv/bin
INSTALLED = .venv/.installed

.PHONY: demo test test-fast lint figures notebooks clean

demo: $(INSTALLED)
	$(BIN)/simbench run demo --out runs/demo
	@echo "Open runs/demo/report.html in a browser."

test: lint
	$(BIN)/pytest -q

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
	$(BIN)/pip install --quiet --editable '.[test,jaspar]'
	touch $@

clean:
	rm -rf .venv runs
