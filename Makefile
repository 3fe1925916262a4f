# make demo       set up, then run every miniature through MLX and Core ML
# make test       set up, then lint, type-check and test everything: what CI runs
# make long       the long builds and comparisons that `make test` leaves out: CI runs them too
# make quick      lint, types and the tests that take no second, for the inner loop
# make coreai     install the Core AI plugin with Apple's runtime, and run its tests
# make faults     the long fault-injection tests, with a table of results
# make bench      speed and memory beside the peers
# make screens    make the pictures of the documentation
# make docs       write the documentation site to build/docs
# make reference  write docs/cli.md, docs/api.md and the recipe schema from the code
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test long quick lint types layers unit coreai faults setup bench docs screens reference clean

setup: $(VENV)/.installed

# PyTorch by version: other versions bring gigabytes of CUDA on Linux. openai-whisper without what it
# depends on: it asks for triton, half a gigabyte that no test uses.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'torch==2.13.*' -e '.[all,dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'openai-whisper>=20250625'
	touch $@

demo: setup
	$(BIN)/python scripts/demo.py

test: lint types layers unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	MYPYPATH=benchmarks $(BIN)/mypy benchmarks

layers: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -q

long: setup
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m long

# Folders with tests that are not slow, so that no others are collected.
QUICK := $(addprefix tests/,catalogs cli files hub site store tasks)

quick: lint types layers
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder -q -m "not faults and not long and not slow" $(QUICK)

coreai: setup
	$(BIN)/python -m pip install --quiet -e plugins/zoo_coreai
	$(BIN)/pytest -q plugins/zoo_coreai/tests

faults: setup
	$(BIN)/pytest -m faults -q tests/faults tests/packaging

bench: setup
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/download.py
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/quantization.py
	$(BIN)/python benchmarks/coreml_conversion.py
	$(BIN)/python benchmarks/coreml_executor.py
	$(BIN)/python benchmarks/lint.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/speech.py
	$(BIN)/python benchmarks/pictures.py
	$(BIN)/python benchmarks/unet_conversion.py --widths 64 128 256 256

screens: setup
	$(BIN)/python scripts/screens.py

docs: setup
	$(BIN)/mkdocs build --strict

reference: setup
	$(BIN)/python scripts/reference.py
	$(BIN)/python -c "import json; from zoo.catalogs.recipe import recipe_schema; print(json.dumps(recipe_schema(), indent=1))" > docs/recipe.schema.json

clean:
	rm -rf $(VENV) dist build
