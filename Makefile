# Everything runs in a virtual environment of its own, made by the first command that needs it.
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export OMP_NUM_THREADS ?= 1
# Compiled modules are kept: without them every command compiles the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-full test-kernels bench lint types docs grammars vscode wheel clean ready

demo: ready
	@$(BIN)/python examples/demo.py

test: lint types
	HYPOTHESIS_PROFILE=ci $(BIN)/python -m pytest -q -n 2

# The properties look at more and new examples: 2,000 generated programs each, and not 200.
test-full: lint types
	HYPOTHESIS_PROFILE=full NCDLANG_FULL=1 $(BIN)/python -m pytest -q -n 2

# The ahead-of-time gate for all programs and tiles, by the installed Triton and by 3.6.0, whose
# wheel is fetched once. What was compiled is remembered in .cache until a kernel changes.
test-kernels: ready .cache/triton-3.6.0
	$(BIN)/python tests/kernel_sweep.py
	PYTHONPATH=.cache/triton-3.6.0 $(BIN)/python tests/kernel_sweep.py

.cache/triton-3.6.0:
	$(BIN)/python -m pip install --quiet --no-deps --target $@ triton==3.6.0

# Kernels and emitted modules beside what people would run instead.
bench: ready
	$(BIN)/python -m benchmarks

lint: ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: ready
	$(BIN)/pyright --pythonpath $(BIN)/python

# Writes the sections of the README, the picture and the other goldens that the program makes.
docs: ready
	$(BIN)/python -m pytest -q tests/test_readme.py tests/test_library_page.py tests/test_gallery.py \
		tests/test_docs.py --update-golden

# Writes what editors and Pygments colour programs by, from the grammar and the library.
grammars: ready
	$(BIN)/python -m pytest -q tests/test_highlight.py tests/test_editors.py --update-golden

# Packs the extension for Visual Studio Code into dist/, and looks at what it packed; needs npm.
vscode: ready
	@command -v npm >/dev/null || { echo "make vscode needs npm: https://nodejs.org" >&2; exit 1; }
	mkdir -p dist editors/vscode/syntaxes
	rm -f dist/*.vsix
	cp grammar/ncd.tmLanguage.json editors/vscode/syntaxes/
	cp LICENSE editors/vscode/
	cd editors/vscode && npm ci --ignore-scripts --no-audit --no-fund && npm run package
	$(BIN)/python tests/vsix.py dist/*.vsix

wheel: ready
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

ready: $(READY)
	@$(BIN)/python -m compileall -q ncdlang backends

$(READY): pyproject.toml .ci/setup
	@.ci/setup $(VENV)
	@touch $@
