# netctl. `make` lists what can be made; CONTRIBUTING.md says more.
.DEFAULT_GOAL := help
.PHONY: help try lab parts test check bench soak clean
MAKEFLAGS += --no-print-directory

SETUP := tools/setup.sh
SECONDS ?= 60
ARGS ?=

help: ## this list
	@printf 'make TARGET:\n'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  \1	\2/p' $(MAKEFILE_LIST) | expand -t 12

try: ## the shortest look: no root, no apt; a small lab, one provider cut, its outage
	@$(SETUP) -- netctl try $(ARGS)

lab: ## set up, bring the lab up, cut a provider, kill a VM's server, show each outage (root)
	@$(SETUP) --system -- tools/lab.sh

parts: ## build CoreDNS and Kubernetes into the cache, once, some minutes (make lab and make test do it too)
	@$(SETUP) -- tools/parts.sh

test: ## set up and run every test, the end-to-end ones too (root; ARGS= goes to pytest)
	@$(SETUP) --tests --parts -- python -m pytest $(ARGS)

check: ## format, lint, types, import rules, module lengths, packages
	@$(SETUP) -- python tools/check.py $(ARGS)

bench: ## a benchmark by name: make bench B=failover (root; ARGS= goes to it)
	@test -n "$(B)" || { echo "say which: make bench B=NAME, NAME one of:" >&2; grep -l __main__ tests/bench/*.py | sed 's|.*/|  |; s|\.py$$||' >&2; exit 2; }
	@test -f "tests/bench/$(B).py" || { echo "there is no benchmark $(B); there are:" >&2; grep -l __main__ tests/bench/*.py | sed 's|.*/|  |; s|\.py$$||' >&2; exit 2; }
	@$(SETUP) --system $(if $(filter names,$(B)),--parts) -- python -m tests.bench.$(B) $(ARGS)

soak: ## simulate seeded faults for a while: make soak SECONDS=600
	@$(SETUP) -- netctl sim soak --seconds $(SECONDS) $(ARGS)

clean: ## remove what was built here, the virtual environment too
	rm -rf .venv .venv.lock .venv.partial dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find netctl tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
