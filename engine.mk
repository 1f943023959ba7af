# The engine in this checkout: installed from its source, with all that proves it. A project that `sashiko new` makes has
# another file in this place (template/engine.mk).
LOCKS := requirements
FAULTS ?= full
ROWS ?=
# One lock for Linux and macOS, and for each Python from 3.11 on.
LOCK := $(UV) pip compile -q --config-file requirements/lock.toml --universal --python-version 3.11 --generate-hashes --no-emit-package torch \
  --no-emit-find-links --no-header
# For images/*/Dockerfile: their Python and C library, and the versions that `make run` has.
IMAGE_LOCK := $(UV) pip compile -q --python-version 3.12 --python-platform x86_64-manylinux_2_34 --generate-hashes --no-emit-find-links --no-header \
  -c requirements/run.txt

.PHONY: test test-clarify test-glue test-slow test-faults test-guards fuzz test-infra test-deploy test-without check notebook golden lock docs pictures docs-site test-site sbom audit wheel

# torch comes last, from a file of its own, with the dependencies that its build asks for.
define install
	@echo "installing requirements/$(1).txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r requirements/$(1).txt
	@$(UV) pip install -q --python $(BIN)/python -r requirements/torch.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
endef

# The longest files are in tests/e2e: one that begins last keeps a single core busy at the end.
test: $(BIN)/.dev $(VENV)-serving/.done node_modules/.done ## run the tests
	$(IN_MEMORY) $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow" --ignore=tests/e2e/changes --ignore-glob='*/packs/*/infra' \
	  tests/e2e tests/unit tests/packs tests/pipeline verification/supply verification/fuzz verification/guards $(ARGS)

test-glue: $(BIN)/.dev ## run the tests of the Glue job in Spark (Java 17)
	@java -version >/dev/null 2>&1 || { echo "error: Java was not found: the tests of the Glue job need 17 (apt-get install openjdk-17-jre-headless)" >&2; exit 1; }
	$(IN_MEMORY) $(BIN)/python -m pytest verification/glue $(ARGS)

test-slow: $(BIN)/.dev node_modules/.done ## run the tests that `make test` and .ci/run leave out: the changes of docs/change.md, a fork's own tests, memory, sweeps, lost nodes, two whole runs of a drafted data set
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist loadfile -m slow tests/unit tests/packs tests/pipeline tests/infra tests/e2e $(ARGS)
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" tests/e2e/changes $(ARGS)

test-clarify: $(BIN)/.dev $(VENV)-clarify/.done ## hold each bias metric against Clarify's open-source library
	@$(BIN)/python -m verification.benchmarks.clarify_library

# The results page counts the faults of one process.
test-faults: $(BIN)/.dev ## kill runs, fill the disk, damage files, and see that nothing is lost; writes docs/faults.md (FAULTS=short: a minute, no page)
	$(IN_MEMORY) FAULTS=$(FAULTS) $(BIN)/python -m pytest $(if $(filter short,$(FAULTS)),-n 2 --dist loadfile) verification/faults $(ARGS)

# SECONDS of a shell that exports it is how long that runs, so only make's own counts.
fuzz: $(VENV)-fuzz/.done ## let a fuzzer make up archives and requests, a minute each (SECONDS=600; ARGS="requests", ARGS="archives --replay FILE")
	$(IN_MEMORY) PYTHONPATH=src $(VENV)-fuzz/bin/python -m verification.fuzz --seconds $(if $(filter command line,$(origin SECONDS)),$(SECONDS),60) $(ARGS)

test-guards: $(BIN)/.dev $(VENV)-serving/.done node_modules/.done ## break each guard of docs/pitfalls.md in a copy, and see that its tests fail (ROWS="C6 L2"; ARGS="--short")
	$(IN_MEMORY) $(BIN)/python -m verification.guards $(ROWS) $(ARGS)

test-infra: $(BIN)/.dev node_modules/.done docs/node_modules/.done ## run the tests of the stacks: security rules, lint, permissions, the same bytes twice
	$(IN_MEMORY) $(BIN)/python -m pytest -n auto --dist loadfile tests/infra $(wildcard tests/packs/*/infra) $(ARGS)

test-deploy: $(BIN)/.dev node_modules/.done docs/node_modules/.done ## deploy, update and destroy an environment against an emulator (verification/README.md)
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist loadfile verification/deploy $(ARGS)

test-without: $(BIN)/.dev $(VENV)-serving/.done node_modules/.done ## take a pack out of a copy, then check, test and synthesize it (PACK=selection; ARGS=--short)
	$(IN_MEMORY) $(BIN)/python -m verification.without $(PACK) $(ARGS)

check: $(BIN)/.dev $(VENV)-serving/.done ## lint, format, types, architecture, and lines (budgets.yaml)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd src/sashiko/serving/container && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --cache-dir $(CURDIR)/.mypy_cache/serving --config-file $(CURDIR)/pyproject.toml \
	  --python-version 3.10 --allow-untyped-calls --explicit-package-bases --ignore-missing-imports --follow-imports=silent $$(ls *.py | grep -v __init__)
	$(BIN)/lint-imports
	$(BIN)/python -m verification.budgets

notebook: $(BIN)/.dev ## execute notebooks/explore_run.ipynb on the newest run, into .sashiko/runs/explore_run.ipynb
	$(BIN)/jupyter execute --output ../.sashiko/runs/explore_run.ipynb notebooks/explore_run.ipynb

golden: $(BIN)/.dev ## rewrite the golden files and the JSON Schemas
	$(BIN)/python tests/golden/rewrite.py

docs: $(BIN)/.dev docs/node_modules/.done ## rewrite the generated pages of docs (cli, api, packs, security-controls, configuration) and the diagrams of docs/images
	$(BIN)/python -m docs.generate

pictures: $(BIN)/.dev ## make the pictures of runs again: the live view, a report, the pages of the monitor and a selection (needs tmux and Chromium)
	$(BIN)/python -m docs.pictures

docs-site: $(VENV)-site/.done ## build the documentation as a site with a search, in build/site; a broken link ends it
	@rm -rf build/site build/site-source && mkdir -p build/site-source/docs build/site-source/verification
	@cp README.md SECURITY.md CONTRIBUTING.md CHANGELOG.md docs/site/* build/site-source
	@cp -R docs/*.md docs/*.csv docs/decisions docs/images docs/packs build/site-source/docs
	@cp verification/README.md build/site-source/verification
	@printf '\n```{toctree}\n:hidden:\n:glob:\n\n[0-9]*\n```\n' >> build/site-source/docs/decisions/index.md
	@PYTHONPATH=src $(VENV)-site/bin/python -m sphinx -q -W --keep-going -b html build/site-source build/site
	@echo build/site/index.html

test-site: $(BIN)/.dev ## read the built site as four readers do, in a browser, also on a phone and in dark mode (after make docs-site)
	$(IN_MEMORY) $(BIN)/python -m pytest tests/site $(ARGS)

docs/node_modules/.done: docs/package-lock.json
	@cd docs && npm ci --silent --no-audit --no-fund
	@touch $@

sbom: $(BIN)/.dev ## write build/sbom.cdx.json: what is installed and downloaded, with hashes and licences (CycloneDX)
	@$(BIN)/python -m verification.supply.sbom $(ARGS)

audit: $(BIN)/.run ## ask OSV what is known against the packages of every lock; says so where it could not run
	@$(BIN)/python -m verification.supply.audit $(ARGS)

wheel: $(BIN)/.run ## build dist/sashiko-<version>-py3-none-any.whl, which `sashiko new` and `sashiko upgrade` take
	@$(BIN)/python -m sashiko.project dist

lock: $(BIN)/.uv ## resolve requirements/*.in again, for Linux and macOS, Python 3.11 to 3.13
	$(LOCK) requirements/run.in -o requirements/run.txt
	$(LOCK) requirements/deploy.in -c requirements/run.txt -o requirements/deploy.txt
	$(LOCK) requirements/infra.in -c requirements/run.txt -o requirements/infra.txt
	$(LOCK) requirements/dev.in -c requirements/infra.txt -c requirements/run.txt -o requirements/dev.txt
	$(LOCK) requirements/test.in -c requirements/dev.txt -o requirements/test.txt
	$(LOCK) requirements/copier.in -o requirements/copier.txt
	$(IMAGE_LOCK) --override requirements/job.override.in requirements/job.in -o requirements/job.txt
	$(IMAGE_LOCK) --no-emit-package numpy --no-emit-package protobuf --no-emit-package packaging requirements/serving-cpu.in -o requirements/serving-cpu.txt
	$(UV) pip compile -q --python-version 3.10 --generate-hashes --no-header --override requirements/serving.override.in --no-emit-find-links requirements/serving.in -o requirements/serving.txt
	$(LOCK) requirements/security.in -o requirements/security.txt
	$(LOCK) requirements/site.in -o requirements/site.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header --no-emit-find-links requirements/fuzz.in -o requirements/fuzz.txt
	$(LOCK) requirements/clarify.in -o requirements/clarify.txt
	$(LOCK) requirements/uv.in -o requirements/uv.txt

# A deploy has an environment's rights: a few packages, none without a hash.
$(BIN)/.deploy: requirements/deploy.txt pyproject.toml $(BIN)/.uv
	@echo "installing requirements/deploy.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r requirements/deploy.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/.run: requirements/run.txt requirements/torch.txt pyproject.toml $(BIN)/.uv
	$(call install,run)

$(BIN)/.dev: requirements/dev.txt requirements/torch.txt pyproject.toml $(BIN)/.uv
	$(call install,dev)
	@touch $(BIN)/.run $(BIN)/.infra

# The serving image's own toolkit, under the image's Python where there is one.
$(VENV)-serving/.done: requirements/serving.txt $(BIN)/.uv
	@mkdir -p $(VENV)-serving; \
	for p in python3.10 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10.*/bin/python python3.11 python3; do \
	  if $$p -c 'import sys; sys.exit(sys.platform != "linux" or sys.version_info[:2] not in ((3, 10), (3, 11)))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -n "$${python:-}" ]; then \
	  echo "setting up $(VENV)-serving with $$($$python --version)" >&2; \
	  $$python -m venv $(VENV)-serving; \
	  $(UV) pip install -q --python $(VENV)-serving/bin/python --require-hashes --no-deps -r requirements/serving.txt; \
	else echo "no Python 3.10 or 3.11 on Linux: the tests of the serving image's model server are skipped" >&2; fi; \
	touch $@

# `make fuzz` alone needs it, and there are wheels for few machines; its source needs a whole LLVM.
$(VENV)-fuzz/.done: requirements/fuzz.txt $(BIN)/.uv
	@echo "installing requirements/fuzz.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-fuzz
	@$(UV) pip install -q --python $(VENV)-fuzz/bin/python --require-hashes --no-deps --no-build -r requirements/fuzz.txt || { \
	  echo "error: atheris could not be installed; it comes for Linux on x86-64 alone. 'make test' tries the fuzzer's seeds and findings anywhere" >&2; exit 1; }
	@touch $@

$(VENV)-clarify/.done: requirements/clarify.txt $(BIN)/.uv
	@echo "installing requirements/clarify.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-clarify
	@$(UV) pip install -q --python $(VENV)-clarify/bin/python --require-hashes --no-deps -r requirements/clarify.txt
	@touch $@

$(VENV)-site/.done: requirements/site.txt $(BIN)/.uv
	@echo "installing requirements/site.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-site
	@$(UV) pip install -q --python $(VENV)-site/bin/python --require-hashes --no-deps -r requirements/site.txt
	@touch $@
