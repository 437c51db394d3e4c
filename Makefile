# `make demo` runs the whole pipeline offline; `make test` runs every test. Both do all their own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --no-compile
LOCKED := --no-deps -r requirements.lock --editable .
TORCH := torch==2.13.0
TORCH_CPU := https://download.pytorch.org/whl/cpu

# Without saved bytecode every kernel and every test process compiles PyTorch anew, for 7 seconds.
unexport PYTHONDONTWRITEBYTECODE
HEAVY := import lm_eval.models.huggingface, papermill, peft, seaborn, sklearn, spacy, statsmodels.api; from trl import SFTTrainer

.PHONY: demo test contents pictures site site-check lock audit clean

demo: .venv/ready
	$(BIN)/python -m medinstruct run params/demo.yaml

# Three workers for two cores, since many tests wait for a server or a browser.
test: .venv/ready
	$(BIN)/ruff check lib notebooks
	$(BIN)/python -m pytest lib -n 3 --dist loadfile --no-loadscope-reorder --durations=25

# Writes what notebooks and README repeat: set-up cells, navigation, badges, tables.
contents: .venv/ready
	$(BIN)/python lib/tests/support/notebook_docs.py

# Takes the pictures of README.md from outputs/demo, in Chromium.
pictures: .venv/ready
	PYTHONPATH=lib/tests $(BIN)/python -m support.make_pictures

# Builds the site from the executed notebooks of the demo, README and docs/; nothing is executed again.
site: .venv/ready
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . site

# Builds the site, then checks every page in a browser, in light and dark.
site-check: site
	MEDINSTRUCT_SITE=all $(BIN)/python -m pytest lib/tests/test_site.py

# The lock names every package, and Python compiles what is imported: both save a third of the time. uv unpacks on
# every core, with a fifth of pip's work; where it cannot be had, or its index not reached, pip does the same.
# PyTorch comes first: the CPU build from its own index where Linux has no NVIDIA GPU, else the usual build.
# The demo's base model comes last: fetched and converted once, here or where it is first used. So is bytecode.
.venv/ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c "import torch" 2>/dev/null || \
	  { test "$$(uname)" = Linux && ! command -v nvidia-smi >/dev/null && \
	    $(INSTALL) --retries 0 --timeout 15 --index-url $(TORCH_CPU) $(TORCH) 2>/dev/null; } || \
	  $(INSTALL) $(TORCH)
	{ $(INSTALL) uv && $(BIN)/uv pip install --quiet --python $(BIN)/python $(LOCKED); } 2>/dev/null || \
	  $(INSTALL) $(LOCKED)
	-$(BIN)/python -c "$(HEAVY)" & $(BIN)/python -c "from medinstruct import llm; llm.model_folder('smollm2')"; wait
	touch .venv/ready

# Makes the lock anew from pyproject.toml, without PyTorch and what only its CUDA build needs, and without a reader of
# international addresses, which jsonschema takes if it is there: it would cost every import of nbformat 3 seconds.
lock: .venv/ready
	$(BIN)/pip install --quiet uv
	echo "# Exact versions for Python 3.11 to 3.13; made by \`make lock\`. PyTorch is installed before these, see the Makefile." > requirements.lock.new
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra train --extra dev --extra site --no-emit-package torch \
	  --no-header --no-annotate pyproject.toml | grep -vE "^(nvidia-|cuda-|triton|rfc3987-syntax|lark)" >> requirements.lock.new
	mv requirements.lock.new requirements.lock
	{ sed "/- torch==/q" environment.yml; sed -n "/^[a-z]/s/^/      - /p" requirements.lock; } > environment.yml.new
	mv environment.yml.new environment.yml
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip check
	{ printf '# Licenses of the installed packages\n\n'; \
	  $(BIN)/pip-licenses --format=markdown --order=license --with-system --ignore-packages medinstruct; } > LICENSES.md

# Asks the public database of vulnerabilities about every locked version.
audit: .venv/ready
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip

clean:
	rm -rf .venv build site
