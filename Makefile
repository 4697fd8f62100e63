# Everything a developer or a user types. `make help` prints this file's ## lines.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
ARGS ?=

.PHONY: help
help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: ## Run Velum on this machine, on port 7000 (ARGS="..." are flags of `velum up`)
	@hack/bootstrap run
	@exec $(BIN)/velum up $(ARGS)

.PHONY: test
test: setup-dev ## Run all tests, those on a real API server and a real Ray too (ARGS="..." go to pytest)
	@hack/controlplane assets >/dev/null
	@hack/controlplane tool helm >/dev/null && hack/controlplane tool kubeconform >/dev/null || echo "tests of the chart are skipped"
	@$(BIN)/velum models fetch centerface || echo "tests that compare with CenterFace are skipped"
	@$(BIN)/pytest -n auto --dist loadfile $(ARGS)

.PHONY: e2e
e2e: setup-dev ## Run a release's whole life on a real node of this machine (root; ARGS="..." are flags of hack/cluster e2e)
	@hack/cluster e2e $(ARGS)

.PHONY: fleet
fleet: setup-dev ## Schedule a thousand tasks over a hundred GPU nodes that need no machine (ARGS="..." are flags of hack/cluster fleet)
	@hack/cluster fleet $(ARGS)

.PHONY: check
check: setup-dev ## Lint, format, types, layers, generated files
	@$(BIN)/ruff check . hack/controlplane hack/cluster hack/images hack/generate hack/bench hack/evaluate hack/train
	@$(BIN)/ruff format --check . hack/controlplane hack/cluster hack/images hack/generate hack/bench hack/evaluate hack/train
	@$(BIN)/mypy
	@MYPYPATH=hack $(BIN)/mypy -p chartfiles -p localplane -p localnode -p evaluation -p training
	@MYPYPATH=hack:hack/benchmarks $(BIN)/mypy -p images -p detectors -p peer -p video -p film
	@$(BIN)/lint-imports
	@hack/generate --check

.PHONY: format
format: setup-dev ## Format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: generate
generate: setup-dev ## Write the generated files: CRDs, OpenAPI, those of the chart
	@hack/generate

.PHONY: bench
bench: setup-dev ## Measure: pictures, videos, detectors and tasks
	@hack/bench images
	@hack/bench video
	@hack/bench detectors --if-there
	@hack/bench tasks

.PHONY: evaluate
evaluate: setup-dev ## Measure recall on labelled pictures (ARGS="..." are flags of hack/evaluate)
	@hack/evaluate $(if $(ARGS),$(ARGS),--pack velum-street)

.PHONY: setup-dev
setup-dev:
	@hack/bootstrap dev

.PHONY: clean
clean: ## Remove the virtual environment and caches of this folder
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
