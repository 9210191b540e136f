# The workshop.  `make` alone lists what there is; every target works from a fresh checkout.

PY := .venv/bin/python
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test check format bench picture venv constraints clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

run: ## the console, the agent and three small web servers on loopback (PORT=3636); Ctrl-C ends all
	@.ci/prepare run
	@exec $(PY) -m deploy.demo $(if $(PORT),--port $(PORT))

test: ## all tests: unit, contract, integration, kernel (User-Mode Linux), browser (ARGS="-k words" for some)
	@.ci/prepare test
	@exec $(PY) -m pytest --beside=tests/integration $(ARGS)

check: ## format, lint, types, import rules, templates
	@.ci/prepare test
	$(BIN)/ruff format --check --diff .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet app/templates

format: ## put every file into the house's form
	@.ci/prepare test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: ## the figures, side by side; writes the tables of docs/benchmarks.md
	@.ci/prepare test
	@exec $(PY) -m bench $(ARGS)

picture: ## docs/console.png anew, from the running console
	@.ci/prepare test
	@exec $(PY) -m docs.picture

venv: ## .venv with the project and the workshop's libraries
	@.ci/prepare test

constraints: ## constraints.txt anew from what .venv has
	$(BIN)/pip freeze --exclude-editable | grep -v '^#' >constraints.txt

clean: ## all that was made: .venv, var, caches, results
	rm -rf .venv var build dist test-results *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find app lvsagent tests bench deploy docs -name __pycache__ -type d -prune -exec rm -rf {} +
