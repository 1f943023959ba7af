# Each target sets up what it needs. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

RECIPE ?=
CHOSEN = $(if $(RECIPE),--recipe $(RECIPE))
VENV := .venv
BIN := $(VENV)/bin
# A wheel folder that pip knows is uv's too: a CPU build of torch found there spares 4 GB of CUDA.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Bytecode is compiled here, once: each step is a process, and where Python may write none
# (PYTHONDONTWRITEBYTECODE) each of them would compile what it imports.
UV := UV_COMPILE_BYTECODE=1 env -u PYTHONDONTWRITEBYTECODE $(BIN)/uv
LOCK := $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-package torch --no-emit-find-links --no-header
# For images/*/Dockerfile: their Python and C library, and the versions that `make run` has.
IMAGE_LOCK := $(UV) pip compile -q --python-version 3.12 --python-platform x86_64-manylinux_2_34 --generate-hashes --no-emit-find-links --no-header \
  -c requirements/run.txt
PYTHONS := python3.11 python3 python
ENV ?= dev
FAULTS ?= full
ROWS ?=
# jsii warns of a Node that it was not tested with, at each start; the command line reports its use to AWS.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export CDK_DISABLE_CLI_TELEMETRY := 1
# The command line fails on an open finding, which it is the report's to tell.
REPORT := cdk.out/security-report/$(ENV)
CDK := NODE_NO_WARNINGS=1 npx --no-install cdk
# What limits CloudFormation and all roles, by the caller's own credentials.
CAPS = $(CDK) deploy --app "$(BIN)/python -m infra.bootstrap" --output cdk.out/bootstrap -c env=$(ENV)
TRUST ?=

.PHONY: help setup run test test-glue test-slow test-faults test-guards fuzz test-infra test-deploy check format ui serve report clean notebook golden lock docs
.PHONY: sbom audit synth security-report diff deploy destroy bootstrap

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(BIN)/.run ## install what `make run` needs into .venv, and name the tools that are missing
	@node --version >/dev/null 2>&1 || echo "Node.js was not found: 'make synth' and the other CDK targets need 18 or newer (https://nodejs.org), and so do the tests of infra; 'make run' and 'make test' do not" >&2
	@java -version >/dev/null 2>&1 || echo "Java was not found: 'make test-glue' needs 17 (apt-get install openjdk-17-jre-headless); 'make run' and 'make test' do not" >&2

run: $(BIN)/.run ## run the pipeline on this machine (RECIPE=census, ARGS="--from Train")
	@$(BIN)/sashiko run $(CHOSEN) $(ARGS)

test: $(BIN)/.dev $(VENV)-serving/.done ## run the tests, the fast ones first
	$(BIN)/python -m pytest -n auto --dist loadfile tests/unit tests/pipeline verification/supply verification/fuzz verification/guards $(ARGS)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" tests/e2e $(ARGS)

test-glue: $(BIN)/.dev ## run the tests of the Glue job in Spark (Java 17)
	$(BIN)/python -m pytest verification/glue $(ARGS)

test-slow: $(BIN)/.dev ## run the tests that `make test` leaves out: a fork's own tests, memory, two whole runs of a drafted data set
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow tests/e2e $(ARGS)

# The results page counts the faults of one process.
test-faults: $(BIN)/.dev ## kill runs, fill the disk, damage files, and see that nothing is lost; writes docs/faults.md (FAULTS=short: a minute, no page)
	FAULTS=$(FAULTS) $(BIN)/python -m pytest $(if $(filter short,$(FAULTS)),-n 2 --dist loadfile) verification/faults $(ARGS)

# SECONDS of a shell that exports it is how long that runs, so only make's own counts.
fuzz: $(VENV)-fuzz/.done ## let a fuzzer make up archives and requests, a minute each (SECONDS=600; ARGS="requests", ARGS="archives --replay FILE")
	@PYTHONPATH=src $(VENV)-fuzz/bin/python -m verification.fuzz --seconds $(if $(filter command line,$(origin SECONDS)),$(SECONDS),60) $(ARGS)

test-guards: $(BIN)/.dev $(VENV)-serving/.done node_modules/.done ## break each guard of docs/pitfalls*.md in a copy, and see that its tests fail (ROWS="C6 pitfalls"; ARGS="--short")
	@$(BIN)/python -m verification.guards $(ROWS) $(ARGS)

test-infra: $(BIN)/.dev node_modules/.done ## run the tests of the stacks: security rules, lint, permissions, the same bytes twice
	$(BIN)/python -m pytest -n auto --dist loadfile tests/infra $(ARGS)

test-deploy: $(BIN)/.dev node_modules/.done ## deploy, update and destroy an environment against an emulator (docs/emulator.md)
	$(BIN)/python -m pytest -n 2 --dist loadfile verification/deploy $(ARGS)

check: $(BIN)/.dev $(VENV)-serving/.done ## lint, format, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd src/sashiko/serving/container && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --cache-dir $(CURDIR)/.mypy_cache/serving --python-version 3.10 \
	  --strict --allow-untyped-calls --explicit-package-bases --ignore-missing-imports --follow-imports=silent --config-file= \
	  $$(ls *.py | grep -v __init__)
	$(BIN)/lint-imports

format: $(BIN)/.dev ## rewrite the code as ruff formats it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(BIN)/.run ## open MLflow on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri sqlite:///$(CURDIR)/.sashiko/mlflow.db

serve: $(BIN)/.run ## serve the approved model on http://127.0.0.1:8080
	@$(BIN)/sashiko model serve $(CHOSEN) $(ARGS)

report: $(BIN)/.run ## write the newest run's report again and print its path
	@$(BIN)/sashiko runs report $(ARGS)

notebook: $(BIN)/.dev ## execute notebooks/explore_run.ipynb on the newest run, into .sashiko/runs/explore_run.ipynb
	$(BIN)/jupyter execute --output ../.sashiko/runs/explore_run.ipynb notebooks/explore_run.ipynb

golden: $(BIN)/.dev ## rewrite the golden files and the JSON Schemas
	$(BIN)/python tests/golden/rewrite.py

docs: $(BIN)/.dev ## rewrite docs/cli.md, docs/security-controls.md and the pipeline's graph in docs/architecture.md
	$(BIN)/python -m docs.generate

bootstrap: $(BIN)/.infra node_modules/.done ## prepare an environment's account and region, once (ENV=prod; TRUST=open for a deploy that changes who assumes what)
	@$(CAPS) $(if $(TRUST),-c trust=$(TRUST)) $(ARGS)
	@options=$$($(BIN)/python -m infra.bootstrap $(ENV)); $(CDK) bootstrap --app cdk.out/bootstrap $$options

synth: $(BIN)/.infra node_modules/.done ## write an environment's templates to cdk.out (ENV=prod; ARGS="-q")
	@$(CDK) synth -q -c env=$(ENV) $(ARGS)

security-report: $(BIN)/.infra $(VENV)-security/.done node_modules/.done ## what NIST 800-53, checkov, cdk-nag and our rules find in the templates, and why it stands (ENV=prod)
	@rm -rf $(REPORT)
	@$(CDK) synth -q -c env=$(ENV) -c security-report=true --output $(REPORT) >&2 || test -f $(REPORT)/validation-report.json
	@$(BIN)/python -m sashiko_cdk.security_report $(REPORT) --checkov $(VENV)-security/bin/checkov

sbom: $(BIN)/.dev ## write build/sbom.cdx.json: what is installed and downloaded, with hashes and licences (CycloneDX)
	@$(BIN)/python -m verification.supply.sbom $(ARGS)

audit: $(BIN)/.run ## ask OSV what is known against the packages of every lock; says so where it could not run
	@$(BIN)/python -m verification.supply.audit $(ARGS)

diff: $(BIN)/.infra node_modules/.done ## compare the templates with what is deployed (ENV=prod)
	@$(CDK) diff -c env=$(ENV) $(ARGS)

deploy: $(BIN)/.infra node_modules/.done ## deploy an environment's stacks (ENV=prod)
	@$(BIN)/sashiko preflight --env $(ENV)
	@$(CDK) deploy --all -c env=$(ENV) $(ARGS)

destroy: $(BIN)/.infra node_modules/.done ## destroy an environment's stacks and, with on_destroy: delete, all data; what is on RETAIN stays (ENV=prod)
	@$(BIN)/sashiko empty --env $(ENV) $(if $(filter --force -f,$(ARGS)),--yes)
	@$(CAPS) -c trust=open $(if $(filter --force -f,$(ARGS)),--require-approval=never)
	@trap '$(CAPS) --require-approval=never' EXIT; $(CDK) destroy --all -c env=$(ENV) $(ARGS) || { \
	  echo "what stays is closed to writes until: sashiko empty --undo --env $(ENV)" >&2; exit 1; }

lock: $(BIN)/.uv ## resolve requirements/*.in again (where pip's find-links offers a CPU torch)
	$(LOCK) requirements/run.in -o requirements/run.txt
	$(LOCK) requirements/infra.in -c requirements/run.txt -o requirements/infra.txt
	$(LOCK) requirements/dev.in -c requirements/infra.txt -c requirements/run.txt -o requirements/dev.txt
	$(IMAGE_LOCK) --override requirements/job.override.in requirements/job.in -o requirements/job.txt
	$(IMAGE_LOCK) --no-emit-package numpy --no-emit-package protobuf --no-emit-package packaging requirements/serving-cpu.in -o requirements/serving-cpu.txt
	$(UV) pip compile -q --python-version 3.10 --generate-hashes --no-header --override requirements/serving.override.in --no-emit-find-links requirements/serving.in -o requirements/serving.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header --no-emit-find-links requirements/security.in -o requirements/security.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header --no-emit-find-links requirements/fuzz.in -o requirements/fuzz.txt
	for peer in metaflow zenml; do \
	  $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header --no-emit-find-links requirements/benchmarks/$$peer.in -o requirements/benchmarks/$$peer.txt; \
	done
	$(LOCK) requirements/benchmarks/trainer.in -c requirements/run.txt -o requirements/benchmarks/trainer.txt
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-header requirements/uv.in -o requirements/uv.txt

clean: ## forget every run, model, download and cached result (.sashiko)
	@test ! -x $(BIN)/sashiko || $(BIN)/sashiko clean

$(BIN)/.uv: requirements/uv.txt
	@for p in $(PYTHONS); do \
	  if $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo "error: Python 3.11 was not found as any of: $(PYTHONS). Install it (python.org, pyenv install 3.11, apt-get install python3.11-venv, brew install python@3.11) and run make again." >&2; exit 1; \
	fi; \
	echo "setting up $(VENV) with $$($$python --version)" >&2; \
	$$python -m venv $(VENV) || { echo "error: $$python cannot make a virtual environment; on Debian: apt-get install python3.11-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# torch comes last, from a file of its own, with the dependencies that its build asks for.
define install
	@echo "installing requirements/$(1).txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r requirements/$(1).txt
	@$(UV) pip install -q --python $(BIN)/python -r requirements/torch.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
endef

$(BIN)/.run: requirements/run.txt requirements/torch.txt pyproject.toml $(BIN)/.uv
	$(call install,run)

# CDK on top of what `make run` needs.
$(BIN)/.infra: requirements/infra.txt $(BIN)/.run
	@echo "installing requirements/infra.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r requirements/infra.txt
	@touch $@

$(BIN)/.dev: requirements/dev.txt requirements/torch.txt pyproject.toml $(BIN)/.uv
	$(call install,dev)
	@touch $(BIN)/.run $(BIN)/.infra

# The serving image's own toolkit, under the image's Python where there is one.
$(VENV)-serving/.done: requirements/serving.txt $(BIN)/.uv
	@for p in python3.10 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10.*/bin/python python3.11 python3; do \
	  if $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 10), (3, 11)))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then echo "error: Python 3.10 or 3.11 was not found for $(VENV)-serving" >&2; exit 1; fi; \
	echo "setting up $(VENV)-serving with $$($$python --version)" >&2; \
	$$python -m venv $(VENV)-serving
	@$(UV) pip install -q --python $(VENV)-serving/bin/python --require-hashes --no-deps -r requirements/serving.txt
	@touch $@

# checkov pins old versions of what others need too, and nothing else needs its 290 MB.
$(VENV)-security/.done: requirements/security.txt $(BIN)/.uv
	@echo "installing requirements/security.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-security
	@$(UV) pip install -q --python $(VENV)-security/bin/python --require-hashes --no-deps -r requirements/security.txt
	@touch $@

# `make fuzz` alone needs it, and there are wheels for few machines; its source needs a whole LLVM.
$(VENV)-fuzz/.done: requirements/fuzz.txt $(BIN)/.uv
	@echo "installing requirements/fuzz.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-fuzz
	@$(UV) pip install -q --python $(VENV)-fuzz/bin/python --require-hashes --no-deps --no-build -r requirements/fuzz.txt || { \
	  echo "error: atheris could not be installed; it comes for Linux on x86-64 alone. 'make test' tries the fuzzer's seeds and findings anywhere" >&2; exit 1; }
	@touch $@

# Whom `verification.benchmarks.orchestration` compares the runner with, each in an environment of its own.
$(VENV)-metaflow/.done $(VENV)-zenml/.done: $(VENV)-%/.done: requirements/benchmarks/%.txt $(BIN)/.uv
	@echo "installing requirements/benchmarks/$*.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-$*
	@$(UV) pip install -q --python $(VENV)-$*/bin/python --require-hashes --no-deps -r requirements/benchmarks/$*.txt
	@touch $@

# Whom `verification.benchmarks.fine_tuning` compares Train with, with torch as `make run` has it.
$(VENV)-trainer/.done: requirements/benchmarks/trainer.txt requirements/torch.txt $(BIN)/.uv
	@echo "installing requirements/benchmarks/trainer.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-trainer
	@$(UV) pip install -q --python $(VENV)-trainer/bin/python --require-hashes --no-deps -r requirements/benchmarks/trainer.txt
	@$(UV) pip install -q --python $(VENV)-trainer/bin/python -r requirements/torch.txt
	@touch $@

node_modules/.done: package-lock.json
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' 2>/dev/null || { \
	  echo "error: Node.js 18 or newer was not found; the CDK command line needs it: https://nodejs.org" >&2; exit 1; }
	@npm ci --silent --no-audit --no-fund
	@touch $@
