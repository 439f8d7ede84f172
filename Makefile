PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How to get a CPU build of torch where none lies on disk, for instance: make install TORCH_ARGS="--index-url ..."
TORCH := 2.13.0
TORCH_ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: help install demo test check soak screenshots lock browser test-tools clean

help:
	@echo "make demo         a sample company on http://127.0.0.1:8000"
	@echo "make test         all tests"
	@echo "make check        linters, types, contracts, known holes, migrations, translations"
	@echo "make install      only the virtual environment; the command is $(BIN)/kb"
	@echo "make screenshots  every page in both languages, widths and themes into ./screenshots"
	@echo "make soak         the long rounds"
	@echo "make lock         new lock files from requirements.in and requirements-test.in"

install: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-deps --require-hashes -r requirements.lock
	$(PIP) install torch==$(TORCH)+cpu 2>/dev/null || $(PIP) install $(TORCH_ARGS) torch==$(TORCH)
	$(PIP) install --no-deps --no-build-isolation -e .
	$(BIN)/python -m pip check
	@touch $@

demo: install
	$(BIN)/kb demo

test-tools: $(VENV)/.test-tools

$(VENV)/.test-tools: $(VENV)/.installed requirements-test.lock
	$(PIP) install --no-deps --require-hashes -r requirements-test.lock
	@touch $@

# Chromium comes from the system; without rights to install it, browser tests are skipped and say so. The headless shell
# is the same engine and four times as quick; where a system has none, the browser itself is taken. Without a network
# nobody waits long.
GET := apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15
APT := $(GET) update && $(GET) install -y fonts-noto-cjk >/dev/null && { $(GET) install -y chromium-headless-shell >/dev/null || $(GET) install -y chromium >/dev/null; }
browser:
	@command -v chromium-headless-shell >/dev/null || { [ "$$(id -u)" = 0 ] && { $(APT); }; } || \
		{ command -v sudo >/dev/null && sudo -n sh -c '$(APT)'; } || command -v chromium >/dev/null || \
		echo "Chromium is not installed: browser tests will be skipped (apt-get install chromium fonts-noto-cjk)"

# Tests start the command hundreds of times: it is compiled once, wherever the environment says otherwise.
test check soak: export PYTHONDONTWRITEBYTECODE :=
test check soak: export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/compiled

test: test-tools browser
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not soak"

check: test-tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -ll -r kb content search review
	$(BIN)/python -m pytest -q tests/rules

soak: test-tools browser
	TESTS_ROUNDS=full $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/faults tests/attacks --ignore=tests/attacks/test_fuzz.py -m "soak or not soak"
	TESTS_ROUNDS=full $(BIN)/python -m pytest -q -n 2 tests/attacks/test_fuzz.py -m "soak or not soak"
	TESTS_ROUNDS=full $(BIN)/python -m pytest -q -n 2 --dist loadfile tests/content tests/search tests/journeys -m soak

screenshots: test-tools browser
	$(BIN)/python -m tests.screenshots

# torch and what only its CUDA build needs stay out: one hash lock with torch in it does not work on every machine.
NO_TORCH := '/^(torch|triton|nvidia-|cuda-)/ {skip=1; next} /^[a-z0-9]/ {skip=0} !skip'
lock: install
	$(PIP) install pip-tools
	$(BIN)/pip-compile --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet -o $(VENV)/full.lock requirements.in
	{ echo "# Made by \`make lock\`; torch is left out on purpose (see the Makefile)."; awk $(NO_TORCH) $(VENV)/full.lock; } > requirements.lock
	$(BIN)/pip-compile --allow-unsafe --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --quiet -o $(VENV)/test.lock requirements-test.in
	{ echo "# Made by \`make lock\`: what tests need beyond requirements.lock."; awk $(NO_TORCH) $(VENV)/test.lock | $(BIN)/python -m tests.lock_difference requirements.lock; } > requirements-test.lock

clean:
	rm -rf $(VENV) screenshots .pytest_cache .mypy_cache .ruff_cache .hypothesis
