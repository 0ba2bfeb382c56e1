# make demo   set everything up and stylize the example photos through a real server
# make test   set everything up and run every test but the few long ones
# make unit   run the tests that need no server, in a minute
# make check  format, lint and types
# make docs   build the documentation's site into site/, every link checked
# make browser  install Chromium for the tests of the web page, on Debian as root
# make generate  write what is made from the declared options: argument types, configs, reference
# make lock   resolve the versions again (UPGRADE=1: the newest) and record their hashes
# make audit  look the locked versions up in the database of known vulnerabilities
# make dist   build the sdist and the wheel into dist/
# make bench  measure speed and memory in ten minutes; make bench QUICK=1 takes two
# make soak   the long tests; then bad inputs, faults and load for ten minutes; make soak MINUTES=3
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := src preprocess export serve client train model_repository benchmarks tests examples

# The editable install links single files: a new file needs a new install.
FILES := $(shell find $(FOLDERS) -name '*.py' -o -name 'config.pbtxt' -o -path '*/static/*' 2>/dev/null | LC_ALL=C sort | cksum | cut -d' ' -f1)
INSTALLED := $(VENV)/.installed-$(FILES)
EXPORTED := $(VENV)/.exported

.DEFAULT_GOAL := help
.PHONY: help install demo test unit docs generate browser bench soak check format lock audit dist clean

help:
	@sed -n 's/^# make/make/p' $(MAKEFILE_LIST)

install: $(INSTALLED)

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found; install Python 3.11 or 3.12, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v <= (3, 12))' || { echo "$$($(PYTHON) --version) was found; photoreal needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# With LOCKED=1 every package comes with the recorded hash, but for PyTorch, whose builds differ.
$(INSTALLED): $(VENV)/bin/python pyproject.toml setup.py constraints.txt
	$(if $(LOCKED),$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock)
	$(BIN)/python -m pip install --quiet -c constraints.txt --config-settings editable_mode=strict -e '.[serve,export,video,web,dev,docs]'
	@rm -f $(VENV)/.installed-* && touch $@

$(EXPORTED): $(INSTALLED) $(wildcard src/photoreal/*.py src/photoreal/networks/*.py src/photoreal/networks/fast/*.py src/photoreal/weights/*.py src/photoreal/weights/segmenter/* export/*.py)
	$(BIN)/photoreal export
	@touch $@

demo: $(EXPORTED)
	$(BIN)/python examples/demo.py

# Tests run file by file: without a server in a process per core, with one in two processes.
BY_FILE := --dist loadfile --no-loadscope-reorder
PARALLEL := --numprocesses logical --maxprocesses 8 $(BY_FILE)

test: check browser $(EXPORTED)
	$(BIN)/python -m pytest -m 'not server' $(PARALLEL)
	$(BIN)/python -m pytest -m server --numprocesses 2 $(BY_FILE)

unit: $(INSTALLED)
	$(BIN)/python -m pytest -m unit $(PARALLEL)

# Without a browser its tests are skipped, and say so.
browser:
	@tests/integration/install-chromium || true

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict --clean

generate: $(INSTALLED)
	$(BIN)/python docs/generate.py

bench: $(EXPORTED)
	$(BIN)/python benchmarks/run.py $(if $(QUICK),--quick)

soak: $(EXPORTED)
	$(BIN)/python -m pytest -m long
	$(BIN)/python benchmarks/soak.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p photoreal
	$(BIN)/mypy tests examples benchmarks docs

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

MAINTAIN := $(BIN)/python -m pip install --quiet -c constraints.txt --config-settings editable_mode=strict -e '.[maintain]'

lock: $(INSTALLED)
	$(MAINTAIN)
	$(BIN)/uv pip compile --quiet pyproject.toml --extra serve --extra export --extra video --extra web --extra dev --extra docs \
		--python-version 3.11 --python-platform x86_64-manylinux_2_35 --generate-hashes \
		--no-emit-package torch --no-annotate --custom-compile-command 'make lock' \
		$(if $(UPGRADE),--upgrade) --output-file requirements.lock
	{ echo '# The versions of requirements.lock, by `make lock`; make installs these.'; \
		{ sed -n 's/^\([A-Za-z0-9._-]*==[^ ;]*\).*/\1/p' requirements.lock; \
		grep -o 'torch==[0-9.]*' pyproject.toml; } | LC_ALL=C sort -u; } > constraints.txt
	@# The image has another Python: all that it installs has to exist for that one.
	$(BIN)/uv pip compile --quiet pyproject.toml --extra runtime --extra export --constraint constraints.txt \
		--python-version 3.12 --python-platform x86_64-manylinux_2_35 --only-binary :all: >/dev/null

# An unreachable database must not look like a clean result.
audit: $(INSTALLED)
	$(MAINTAIN)
	@$(BIN)/python -c 'import requests; requests.get("https://api.osv.dev", timeout=15)' 2>/dev/null || { echo "The database of known vulnerabilities, api.osv.dev, cannot be reached: nothing was audited."; exit 1; }
	$(BIN)/pip-audit --strict --vulnerability-service osv --disable-pip --no-deps --progress-spinner off -r constraints.txt

dist: $(INSTALLED)
	$(MAINTAIN)
	rm -rf dist
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) build dist demo site *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -rf model_repository/segmenter/labels.txt model_repository/*/1/model.onnx model_repository/*/1/model.plan model_repository/*/1/*.pt
