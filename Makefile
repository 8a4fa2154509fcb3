# The habits. Every target is one line; the work is in scripts/.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench fuzz hw-test hw-test-guest build approve clean-state

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

demo: ## install what is missing, build, and run a whole quorum on SQLite and soft tokens
	@scripts/build.sh demo && scripts/demo.sh

test: ## install what is missing and pass every test (ARGS='-p quorate-protocol otp' narrows)
	@scripts/test.sh $(ARGS)

lint: ## format, clippy, docs, licences and sources of dependencies, unused dependencies, shell
	@scripts/lint.sh

bench: ## measure libraries and the whole oracle, in a release build
	@scripts/bench.sh $(ARGS)

fuzz: ## feed damaged input to everything that reads bytes from outside (SECONDS_EACH=20)
	@scripts/fuzz.sh $(ARGS)

hw-test: ## erase the keys in QUORATE_HW_SERIALS and run the token contract on them, and on the security keys in QUORATE_HW_FIDO
	@scripts/hw-test.sh

hw-test-guest: ## run the programs in a guest whose kernel takes virtual security keys for devices
	@scripts/hw-test-guest.sh

build: ## install what is missing and build both programs
	@scripts/build.sh build

approve: ## make the approving page's bundle in target/approve, and print its hash
	@scripts/approve.sh

clean-state: ## forget the caches that lint and test keep outside the clone
	@scripts/clean-state.sh
