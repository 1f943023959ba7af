# What a project has deployed it can give back, also where it leaves the pack `operations` out.
.PHONY: destroy
EMPTY := $(BIN)/python -m sashiko_packs.operations

destroy: $(BIN)/.infra node_modules/.done ## destroy an environment's stacks and, with on_destroy: delete, all data; what is on RETAIN stays (ENV=prod)
	@$(EMPTY) --env $(ENV) $(if $(filter --force -f,$(ARGS)),--yes)
	@$(CAPS) -c trust=open $(if $(filter --force -f,$(ARGS)),--require-approval=never)
	@close() { $(CAPS) --require-approval=never || { \
	  echo "error: deploys may still change who assumes the roles, until: make bootstrap ENV=$(ENV)" >&2; exit 1; }; }; \
	trap close EXIT; $(CDK) destroy --all -c env=$(ENV) $(ARGS) || { \
	  echo "what stays is closed to writes: run make destroy ENV=$(ENV) again" >&2; exit 1; }
