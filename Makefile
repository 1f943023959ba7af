# Each target sets up what it needs. `make help` lists them.
# With its options in SHELL, as make 3.81, which macOS has, does not know .SHELLFLAGS.
SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help

RECIPE ?=
CHOSEN = $(if $(RECIPE),--recipe $(RECIPE))
VENV := .venv
BIN := $(VENV)/bin
# A wheel folder that pip knows is uv's too: a CPU build of torch found there spares 4 GB of CUDA.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Each step is a process, so what one of them compiles must be kept for the next: a run imports a third of what is installed.
unexport PYTHONDONTWRITEBYTECODE
# ENV and ARGS say which environment a target is for.
unexport SASHIKO_ENV
UV := $(BIN)/uv
# The first that is one of 3.11, 3.12 and 3.13 (PYTHON=python3.13 to choose).
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python)
ENV ?= dev
# jsii warns of a Node that it was not tested with, at each start; the command line reports its use to AWS.
export JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION := 20
export JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION := 1
export CDK_DISABLE_CLI_TELEMETRY := 1
# The command line fails on an open finding, which it is the report's to tell.
REPORT := cdk.out/security-report/$(ENV)
CDK := NODE_NO_WARNINGS=1 npx --no-install cdk
# What limits CloudFormation and all roles, by the caller's own credentials.
CAPS = $(CDK) deploy --app "$(BIN)/python -m sashiko_cdk.bootstrap" --output cdk.out/bootstrap -c env=$(ENV)
TRUST ?=
# Tests make and delete tens of thousands of small files, and databases: in memory where 4 GB are free, as a disk may take
# minutes for it.
IN_MEMORY = @free=$$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1) || true; \
  if [ "$${free:-0}" -gt 4000 ] && ! grep -q ' /dev/shm .*noexec' /proc/mounts; then \
    TMPDIR=$$(mktemp -d /dev/shm/tests-XXXXXX); export TMPDIR; trap 'rm -rf "$$TMPDIR"' EXIT; \
  fi;
# How the engine is installed, `test` and `check`: from this checkout, or from a project's wheel.
include engine.mk
# What packs add.
-include delivery.mk operations.mk

.PHONY: help setup fetch run test check format ui serve report clean synth security-report diff deploy bootstrap

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(BIN)/.run ## install what `make run` needs into .venv, and name the tools that are missing
	@echo "to run without a network later: make fetch" >&2
	@node --version >/dev/null 2>&1 || echo "Node.js was not found: 'make synth' and the other CDK targets need 18 or newer (https://nodejs.org), and so do the tests of the stacks; 'make run' and 'make test' do not" >&2

fetch: $(BIN)/.run ## get a recipe's data and weights, so that `make run` needs no network (RECIPE=census)
	@$(BIN)/sashiko data fetch $(CHOSEN)

run: $(BIN)/.run ## run the pipeline on this machine (RECIPE=census, ARGS="--from Train")
	@$(BIN)/sashiko run $(CHOSEN) $(ARGS)

format: $(BIN)/.dev ## rewrite the code as ruff formats it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(BIN)/.run ## open MLflow on http://127.0.0.1:5000
	MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --host 127.0.0.1 --port 5000 --workers 1 --backend-store-uri sqlite:///$(CURDIR)/.sashiko/mlflow.db

serve: $(BIN)/.run ## serve the approved model on http://127.0.0.1:8080
	@$(BIN)/sashiko model serve $(CHOSEN) $(ARGS)

report: $(BIN)/.run ## write the newest run's report again and print its path
	@$(BIN)/sashiko runs report $(ARGS)

bootstrap: $(BIN)/.infra node_modules/.done ## prepare an environment's account and region, once (ENV=prod; TRUST=open for a deploy that changes who assumes what)
	@$(CAPS) $(if $(TRUST),-c trust=$(TRUST)) $(ARGS)
	@options=$$($(BIN)/python -m sashiko_cdk.bootstrap $(ENV)); $(CDK) bootstrap --app cdk.out/bootstrap $$options

synth: $(BIN)/.infra node_modules/.done ## write an environment's templates to cdk.out (ENV=prod; ARGS="-q")
	@$(CDK) synth -q -c env=$(ENV) $(ARGS)

security-report: $(BIN)/.infra $(VENV)-security/.done node_modules/.done ## what NIST 800-53, checkov, cdk-nag and our rules find in the templates, and why it stands (ENV=prod)
	@rm -rf $(REPORT)
	@$(CDK) synth -q -c env=$(ENV) -c security-report=true --output $(REPORT) >&2 || test -f $(REPORT)/validation-report.json
	@$(BIN)/python -m sashiko_cdk.security_report $(REPORT) --checkov $(VENV)-security/bin/checkov

diff: $(BIN)/.infra node_modules/.done ## compare the templates with what is deployed (ENV=prod)
	@$(CDK) diff -c env=$(ENV) $(ARGS)

deploy: $(BIN)/.infra node_modules/.done ## deploy an environment's stacks (ENV=prod; ENV=delivery: the pipeline that delivers, docs/delivery.md)
	@$(if $(filter delivery,$(ENV)),,$(BIN)/sashiko env preflight --env $(ENV))
	@$(CDK) deploy --all -c env=$(ENV) $(ARGS)

clean: ## delete every run, model with its approvals, download and cached result (.sashiko); asks first (ARGS=--yes)
	@test ! -x $(BIN)/sashiko || $(BIN)/sashiko runs clean $(ARGS)

$(BIN)/.uv: requirements/uv.txt
	@for p in $(PYTHONS); do \
	  if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo "error: Python 3.11, 3.12 or 3.13 was not found as any of: $(PYTHONS). Install one (python.org, pyenv install 3.13, apt-get install python3-venv, brew install python@3.13) and run make again." >&2; exit 1; \
	fi; \
	echo "setting up $(VENV) with $$($$python --version)" >&2; \
	$$python -m venv $(VENV) || { fix="see above"; $$python -c 'import ensurepip' 2>/dev/null || fix="it lacks ensurepip; on Debian: apt-get install python3-venv"; \
	  echo "error: $$python cannot make $(VENV): $$fix" >&2; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# CDK on top of what `make run` needs.
$(BIN)/.infra: $(LOCKS)/infra.txt $(BIN)/.run
	@echo "installing $(LOCKS)/infra.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/infra.txt
	@touch $@

# checkov pins old versions of what others need too, and nothing else needs its 290 MB.
$(VENV)-security/.done: $(LOCKS)/security.txt $(BIN)/.uv
	@echo "installing $(LOCKS)/security.txt" >&2
	@$(BIN)/python -m venv --clear --without-pip $(VENV)-security
	@$(UV) pip install -q --python $(VENV)-security/bin/python --require-hashes --no-deps -r $(LOCKS)/security.txt
	@touch $@

node_modules/.done: package-lock.json
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 18 ? 1 : 0)' 2>/dev/null || { \
	  echo "error: Node.js 18 or newer was not found; the CDK command line needs it: https://nodejs.org" >&2; exit 1; }
	@npm ci --silent --no-audit --no-fund
	@touch $@
