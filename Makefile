# Two commands do all the set-up on a machine with Python 3.11 to 3.13: `make demo` and `make test`.
PYTHON ?= python3.11
BIN = .venv/bin
INSTALLED = .venv/.installed

.PHONY: demo test test-first test-second test-fast test-extras test-anndata test-multiqc test-torch lint docs lock dist figures notebooks clean

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

# extras that do not stand beside all others, or are large, are tested in environments of their own, in build/
test-extras: test-anndata test-multiqc test-torch
test-anndata: TESTS = tests/interchange/test_anndata.py
test-multiqc: TESTS = tests/interchange/test_export_results.py
test-anndata test-multiqc: test-%:
	$(PYTHON) -m venv build/$*
	build/$*/bin/pip install --quiet --editable '.[$*]' pytest pytest-timeout hypothesis
	build/$*/bin/pytest -q $(TESTS)
# what needs PyTorch, Captum, tangermeme, Fi-NeMo or onnxruntime, in an environment of its own: `make test` skips these
TORCH_TESTS = $(addprefix tests/,$(addprefix attribution/test_,deeplift_captum.py deeplift_tangermeme.py onnx_models.py \
    torch_models.py) dataset/test_torch_data.py discovery/test_callers.py stages/test_motifs.py \
    stages/test_outside_models.py)
# PyTorch's compiler, which its optimizers load, fails where much of TensorFlow ran before: a process of its own
test-torch: build/torch/.installed
	build/torch/bin/python -m pytest -q $(TORCH_TESTS)
	build/torch/bin/python -m pytest -q tests/whole/test_code_blocks.py::test_a_network_of_torch_explained_by_captum

build/torch/.installed: setup.cfg
	$(PYTHON) -m venv build/torch
	build/torch/bin/pip install --quiet --editable '.[parity,onnx,finemo,test]'
	touch $@

lint: $(INSTALLED)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

# the site, in site/: open site/index.html, or let any web server show the folder
docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

# the figure and the table of README.md, from the demo, and whether the table there still holds
figures: demo
	$(BIN)/python docs/make_readme_figures.py runs/demo
	$(BIN)/python docs/make_readme_figures.py runs/demo --check README.md

# the notebooks with their committed outputs, made anew from the scripts beside them
notebooks: $(INSTALLED)
	$(BIN)/python examples/make_notebooks.py

# exactly the versions of the lock, each by its hash; where a platform lacks one of them, the newest that setup.cfg allows
$(INSTALLED): setup.cfg pyproject.toml packaging/lock.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --requirement packaging/lock.txt || { \
	    echo "the versions of packaging/lock.txt cannot be had here; taking the newest that setup.cfg allows"; \
	    $(BIN)/pip install --quiet --editable '.[all,test]'; }
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

# the lock made anew: the newest versions that setup.cfg allows, for Python 3.11 to 3.13 and every platform
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	build/lock/bin/uv pip compile setup.cfg --extra all --extra test --universal --python-version 3.11 --upgrade \
	    --no-config --generate-hashes --no-annotate --custom-compile-command "make lock" --output-file packaging/lock.txt

# wheel and sdist, checked as PyPI would
dist:
	$(PYTHON) -m venv build/dist
	build/dist/bin/pip install --quiet build twine
	build/dist/bin/python -m build --outdir dist
	build/dist/bin/twine check --strict dist/*

clean:
	rm -rf .venv runs
