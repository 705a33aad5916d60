# Two commands do all the set-up: `make run` and `make test`. Tandem runs from the
# checkout; only its dependencies are installed, into .venv, from the hashed locks.

PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3),python3)
BIN := .venv/bin
PACKAGES := codec deploy proto relay runtime transceiver
UV := uv==0.13.8
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
  --generate-hashes --custom-compile-command "make lock"
COMPILE := $(LOCK) pyproject.toml

COMPARED := $(patsubst requirements/%.txt,%,$(wildcard requirements/compare-*.txt))
SCRIPTS := bench/compare/plot.py $(wildcard bench/compare/peers/*_echo.py)

.DEFAULT_GOAL := help
.PHONY: help run test check compile format bench fuzz lock clean
.NOTPARALLEL:  # what is installed goes into one environment

help: ## Show these targets
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name meaning; do printf '  make %-8s %s\n' "$$name" "$$meaning"; done

run: .venv/speech.installed compile ## Start Tandem on this machine and print the page's address
	@$(BIN)/python -m scripts.run

test: .venv/dev.installed .venv/interop.installed .venv/npm.installed compile ## Run every test (ARGS="-k link" is handed to pytest)
	@$(BIN)/python -m scripts.chromium
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/dev.installed ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES) bench scripts tests
	$(BIN)/lint-imports

compile: .venv/compile.installed ## Compile the hot path's modules, where there is a C compiler
	@$(BIN)/python -m scripts.compile $(filter --required,$(ARGS))

format: .venv/dev.installed ## Format the code and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev.installed compile ## Print each benchmark's figures, and compare with other servers (ARGS=--quick)
	@for file in bench/[a-z]*.py; do \
	  [ -e "$$file" ] || continue; echo "== $$file"; $(BIN)/python -m "bench.$$(basename "$$file" .py)" || exit 1; \
	done
	@for lock in $(COMPARED); do \
	  $(MAKE) --no-print-directory ".venv/$$lock.installed" || echo "$$lock cannot be installed here, and is left out"; \
	done
	@$(BIN)/python -m bench.compare $(ARGS)
	@if [ -e .venv/compare-score.installed ]; then $(BIN)/python -m bench.quality $(filter --quick,$(ARGS)); fi

fuzz: .venv/fuzz.installed compile ## Fuzz guided by coverage, about an hour (Linux; ARGS="stream -s 0.1")
	@$(BIN)/python -m tests.fuzz $(ARGS)

lock: ## Renew requirements/*.txt from pyproject.toml (ARGS=--upgrade: newest releases)
	@$(PYTHON) -m scripts.environment
	@$(BIN)/python -m pip install --quiet $(UV)
	$(COMPILE) --all-extras --group compile --output-file requirements/dev.txt $(ARGS)
	$(COMPILE) --extra speech --constraints requirements/dev.txt --output-file requirements/speech.txt
	$(COMPILE) --extra traces --constraints requirements/dev.txt --output-file requirements/traces.txt
	$(COMPILE) --constraints requirements/dev.txt --output-file requirements/core.txt
	$(LOCK) --group compile --constraints requirements/dev.txt --output-file requirements/compile.txt
	$(LOCK) --group compiler --output-file requirements/compiler.txt $(ARGS)
	$(LOCK) --group fuzz --output-file requirements/fuzz.txt $(ARGS)
	$(LOCK) --group interop --output-file requirements/interop.txt $(ARGS)
	for script in $$(grep -l '^# /// script' $(SCRIPTS)); do \
	  name=$$(basename "$$script" .py); \
	  $(LOCK) "$$script" --output-file "requirements/compare-$${name%_echo}.txt" $(ARGS) || exit 1; \
	done
	$(LOCK) --no-config bench/quality/score.py --output-file requirements/compare-score.txt $(ARGS)  # numba, too

clean: ## Remove the environment, what was compiled and all caches
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	rm -rf tests/interop/javascript/node_modules
	find $(PACKAGES) -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A lock newer than its stamp is installed again; an interrupted install leaves no stamp.
.venv/%.installed: requirements/%.txt scripts/environment.py
	@$(PYTHON) -m scripts.environment $*
	@touch $@

.venv/fuzz.installed: | .venv/dev.installed  # beside the rest; nothing depends on it
.venv/interop.installed: | .venv/dev.installed  # it stands inside .venv

.venv/npm.installed: tests/interop/javascript/package-lock.json scripts/npm.py | .venv/interop.installed
	@$(BIN)/python -m scripts.npm
	@touch $@
