# make demo   set everything up and stylize the example photos through a real server
# make test   set everything up and run every test
# make check  format, lint and types
# make bench  measure speed and memory in ten minutes; make bench QUICK=1 takes two
# make soak   bad inputs, faults and load on a real server for ten minutes; make soak MINUTES=3
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := src preprocess export serve client train model_repository benchmarks tests examples

# The editable install links single files: a new file asks for a new install.
FILES := $(shell find $(FOLDERS) -name '*.py' -o -name 'config.pbtxt' 2>/dev/null | LC_ALL=C sort | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/.installed-$(FILES)
EXPORTED := $(VENV)/.exported

.DEFAULT_GOAL := help
.PHONY: help install demo test bench soak check format clean

help:
	@sed -n 's/^# make/make/p' $(MAKEFILE_LIST)

install: $(INSTALLED)

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found; install Python 3.10, 3.11 or 3.12, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 10) <= v <= (3, 12))' || { echo "$$($(PYTHON) --version) was found; photoreal needs Python 3.10, 3.11 or 3.12: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt --config-settings editable_mode=strict -e '.[serve,export,dev]'
	@rm -f $(VENV)/.installed-* && touch $@

$(EXPORTED): $(INSTALLED) $(wildcard src/photoreal/*.py src/photoreal/weights/*.py src/photoreal/weights/segmenter/* export/*.py)
	$(BIN)/photoreal export
	@touch $@

demo: $(EXPORTED)
	$(BIN)/python examples/demo.py

test: check $(EXPORTED)
	$(BIN)/python -m pytest

bench: $(EXPORTED)
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

soak: $(EXPORTED)
	$(BIN)/python benchmarks/soak.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p photoreal
	$(BIN)/mypy tests examples benchmarks

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -rf model_repository/segmenter/labels.txt model_repository/*/1/model.onnx model_repository/*/1/model.plan model_repository/*/1/*.pt
