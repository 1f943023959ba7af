# The engine in this project: a wheel, pinned by its hash in requirements/engine.txt. It brings the locks of what it needs.
# .engine links `python` to the folder of the Python that the environment has.
ENGINE := $(VENV)/lib/python/site-packages/sashiko
LOCKS := $(ENGINE)/locks

.PHONY: test lock

test: $(BIN)/.dev ## run the project's tests
	$(IN_MEMORY) $(BIN)/python -m pytest -n auto --dist loadfile tests $(ARGS)

check: $(BIN)/.dev ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: $(BIN)/.engine ## resolve requirements/project.in: your own packages, beside the engine's
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header -c $(LOCKS)/run.txt --unsafe-package torch \
	  requirements/project.in -o requirements/project.txt

# `docs/` and `schemas/` are the engine's: messages name the pages, and the YAML files their schema.
$(BIN)/.engine: requirements/engine.txt $(BIN)/.uv
	@echo "installing the engine: requirements/engine.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --no-deps --require-hashes -r requirements/engine.txt
	@ln -sfn "$$($(BIN)/python -c 'import sys; print("python%d.%d" % sys.version_info[:2])')" $(VENV)/lib/python
	@ln -sfn $(ENGINE)/docs docs
	@ln -sfn $(ENGINE)/schemas schemas
	@touch $@
	@touch $(LOCKS)/*.txt

# A deploy has an environment's rights: a few packages, none without a hash.
$(BIN)/.deploy: $(BIN)/.engine
	@echo "installing $(LOCKS)/deploy.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/deploy.txt
	@touch $@

# torch has no hash, so that its CPU build is taken where there is one.
$(BIN)/.run: requirements/project.txt pyproject.toml $(BIN)/.engine
	@echo "installing $(LOCKS)/run.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/run.txt
	@$(UV) pip install -q --python $(BIN)/python -r $(LOCKS)/torch.txt
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r requirements/project.txt
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/.dev: $(BIN)/.infra
	@echo "installing $(LOCKS)/test.txt" >&2
	@$(UV) pip install -q --python $(BIN)/python --require-hashes --no-deps -r $(LOCKS)/test.txt
	@touch $@

$(LOCKS)/%.txt: $(BIN)/.engine ;
