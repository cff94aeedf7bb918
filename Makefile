# `make run` and `make test` are all that a fresh machine needs: python3 (3.11+, with venv and headers) and a C compiler.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
# Empty is unset. Without bytecode files, each of the many programs that tests start compiles all of its modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run fast interpreted test test-fast test-compiled test-e2e test-pythons lint docs man format
.PHONY: bench swarm simulate simulate-many dist deb clean

run: $(VENV)/.installed $(VENV)/.built $(COMPILED)
	$(BIN)/python run_p2pool.py --net simnet $(ARGS)

# Compiles the modules on the hot path, in place: the node takes less processor time. docs/performance.md has the
# figures. From then on, they are compiled again when their source changes; `make interpreted` removes them.
COMPILED := $(wildcard $(VENV)/.compiled)
fast: $(VENV)/.compiled

$(VENV)/.compiled: setup.py p2pool/app/compiled.py $(shell find p2pool -name '*.py') | $(VENV)/.installed-dev
	@$(MAKE) -s --no-print-directory interpreted
	P2POOL_COMPILE=1 $(BIN)/python -W ignore setup.py -q build_ext --inplace
	@touch $@

interpreted:
	rm -rf $(VENV)/.compiled build/mypyc build/compiled p2pool__mypyc.*.so
	find p2pool -name '*.cpython-*.so' -delete

# Several nodes on one simulated Dash Core: make swarm N=5
N ?= 5
swarm: $(VENV)/.installed $(VENV)/.built
	@$(BIN)/python -m p2pool.simnet.swarm --nodes $(N) $(ARGS)

# Much of the end-to-end tests' time is waiting: several at a time, each file by itself.
JOBS ?= 3
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# The fast tests alone, measured: the floors are in .ci/coverage-floors. End-to-end tests are not measured.
test-fast: $(VENV)/.installed-dev
	@mkdir -p build
	$(BIN)/python -m slipcover --branch --dont-wrap-pytest --source p2pool --json --out build/coverage.json \
		-m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not e2e" $(ARGS)
	$(BIN)/python .ci/coverage-floors build/coverage.json

test-e2e: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m e2e $(ARGS)

# The fast tests with compiled modules, but for the simulated worlds. `make interpreted` ends it.
test-compiled: fast
	P2POOL_COMPILE=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder \
		-m "not e2e and not worlds" $(ARGS)

# The fast tests on every other Python of this machine from 3.11 on; with COMPILE_NEWEST=1, on the newest with compiled modules.
test-pythons: $(VENV)/.installed-dev
	@JOBS=$(JOBS) .ci/pythons test $(BIN)/python $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict -p p2pool
	$(BIN)/mypy --implicit-reexport --cache-dir .mypy_cache/tests -p tests
	@$(MAKE) -s --no-print-directory docs
	@$(MAKE) -s --no-print-directory lint-pages

# The documentation as a site, in build/site. A link that leads nowhere is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --config-file deploy/site/mkdocs.yml

$(VENV)/.installed-docs: requirements-docs.lock $(VENV)/.installed-dev
	$(PIP_INSTALL) -r requirements-docs.lock
	@touch $@

# A source distribution and a wheel made of it, in dist/. With P2POOL_COMPILE=1, the wheel's modules are compiled
# as by `make fast`.
dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

# A Debian package, build/p2pool-dash_VERSION_ARCHITECTURE.deb, for the Debian or Ubuntu on which it is built. Its
# modules are compiled as by `make fast`, unless P2POOL_COMPILE=0.
deb: export P2POOL_COMPILE ?= 1
deb: dist man
	deploy/debian/build $(BIN)/python dist/*.whl

# Types and lint of the pages' scripts. Needs Node.js and npm; everything else of this file does not.
JS := tests/javascript
.PHONY: lint-pages
lint-pages:
	@if command -v npm >/dev/null 2>&1; then \
		$(MAKE) -s --no-print-directory $(JS)/node_modules/.installed && npm --prefix $(JS) run --silent types && npm --prefix $(JS) run --silent lint; \
	else echo "lint: skipped the JavaScript of web-static: npm is not installed (apt install nodejs npm)"; fi

$(JS)/node_modules/.installed: $(JS)/package-lock.json
	npm --prefix $(JS) ci --silent --no-audit --no-fund
	@touch $@

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench $(ARGS)

# A simulated network, a line for each simulated minute: make simulate SEED=7 WORLD=small NODES=5 HOURS=2
WORLD ?= default
SEED ?= 1
CHANGES = $(if $(NODES),--nodes $(NODES)) $(if $(MINERS),--miners $(MINERS)) $(if $(HOURS),--hours $(HOURS))
simulate: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.simulation run --world $(WORLD) --seed $(SEED) $(CHANGES) $(ARGS)

# Many seeds of small worlds, on all processors; prints those that fail: make simulate-many N=1000
simulate-many: N = 100
simulate-many: WORLD = small
simulate-many: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.simulation many --world $(WORLD) --seed $(SEED) --count $(N) $(CHANGES) $(ARGS)

# The manual page and completion for shells, as packages install them: build/man, build/completion.
man: $(VENV)/.installed $(VENV)/.built
	@mkdir -p build/man build/completion
	$(BIN)/python run_p2pool.py man >build/man/p2pool-dash.1
	$(BIN)/python run_p2pool.py completion bash >build/completion/p2pool-dash
	$(BIN)/python run_p2pool.py completion zsh >build/completion/_p2pool-dash
	$(BIN)/python run_p2pool.py completion fish >build/completion/p2pool-dash.fish

clean:
	rm -rf $(VENV) $(JS)/node_modules build dist *.egg-info *.so
	find p2pool -name '*.so' -delete

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (apt install python3 python3-venv python3-dev gcc)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Exactly what the lock files name, by hash; .ci/lock writes them from the ranges in requirements*.txt.
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes --no-build-isolation

$(VENV)/.installed: requirements-build.lock requirements.lock | $(VENV)/bin/python
	$(PIP_INSTALL) -r requirements-build.lock
	$(PIP_INSTALL) -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock $(VENV)/.installed $(VENV)/.built
	$(PIP_INSTALL) -r requirements-dev.lock
	@touch $@

# X11 and SHA-256 in C. Without a compiler there is a warning, and the package x11_hash and hashlib are used.
$(VENV)/.built: setup.py $(wildcard p2pool/dash/_x11/* p2pool/dash/_sha256/*) | $(VENV)/.installed
	$(BIN)/python -W ignore setup.py -q build_ext --inplace
	@touch $@
