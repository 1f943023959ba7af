# Targets of the pack `delivery`.
.PHONY: deploy-tools

deploy-tools: $(BIN)/.deploy ## install what a delivery's builds need of Python, each package by its hash
