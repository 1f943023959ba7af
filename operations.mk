# Targets of the pack `operations`.
.PHONY: destroy

destroy: $(BIN)/.infra node_modules/.done ## destroy an environment's stacks and, with on_destroy: delete, all data; what is on RETAIN stays (ENV=prod)
	@$(BIN)/sashiko env destroy-data --env $(ENV) $(if $(filter --force -f,$(ARGS)),--yes)
	@$(CAPS) -c trust=open $(if $(filter --force -f,$(ARGS)),--require-approval=never)
	@close() { $(CAPS) --require-approval=never || { \
	  echo "error: deploys may still change who assumes the roles, until: make bootstrap ENV=$(ENV)" >&2; exit 1; }; }; \
	trap close EXIT; $(CDK) destroy --all -c env=$(ENV) $(ARGS) || { \
	  echo "what stays is closed to writes until: sashiko env destroy-data --undo --env $(ENV)" >&2; exit 1; }
