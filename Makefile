# make demo   set up, then let miniatures write, hear and draw through MLX and Core ML, checked
# make test   set up, then lint, type-check and test everything
# make faults the long fault tests, and a table of what was survived
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types layers unit faults setup bench schema clean

setup: $(VENV)/.installed

# PyTorch first and by version: other versions bring gigabytes of CUDA on Linux.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet 'torch==2.13.*' -e '.[all,dev]'
	touch $@

demo: setup
	$(BIN)/zoo list
	$(BIN)/zoo build mistral:mini/mlx-8bit
	$(BIN)/zoo run mistral:mini/mlx-8bit "Once upon a time" --max-tokens 180
	$(BIN)/zoo check mistral:mini/mlx-8bit
	$(BIN)/zoo build mistral:mini/coreml-int4
	$(BIN)/zoo run mistral:mini/coreml-int4 "Once upon a time" --max-tokens 60
	$(BIN)/zoo run mistral:mini/coreml-int4 "Once upon a time" --max-tokens 60 --adapter pirate
	$(BIN)/zoo run whisper:mini/mlx-8bit recipes/whisper/clips/01.wav
	$(BIN)/zoo build stable-diffusion:mini/coreml-6bit
	$(BIN)/zoo run stable-diffusion:mini/coreml-6bit "a large red ring on the left" --seed 1 -o ring.png
	$(BIN)/zoo run stable-diffusion:mini/coreml-6bit "a large red ring on the left" --seed 1 --adapter ink -o ink.png

test: lint types layers unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -n 2 --dist loadfile -q

faults: setup
	$(BIN)/pytest -m faults -q tests/faults

bench: setup
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/download.py
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/quantization.py
	$(BIN)/python benchmarks/coreml_conversion.py
	$(BIN)/python benchmarks/coreml_executor.py
	$(BIN)/python benchmarks/speech.py
	$(BIN)/python benchmarks/pictures.py
	$(BIN)/python benchmarks/unet_conversion.py --widths 64 128 256 256

schema: setup
	$(BIN)/python -c "import json; from zoo.recipe import recipe_schema; print(json.dumps(recipe_schema(), indent=1))" > docs/recipe.schema.json

clean:
	rm -rf $(VENV) dist build
