# `make book` and `make test` do all of their own set-up; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book serve test bench labs lint url clean

VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PORT ?= 8000
JOBS ?= 2
LABS ?=
SITE := _build/html/index.html

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Once, and again when the requirements change.
$(STAMP): requirements.txt pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh $(VENV)
	@touch $@

book: $(STAMP)  ## build the book from nothing and say where it is
	@rm -rf _build book/ledger
	$(BIN)/memlib ledger --page book/ledger.md --map book/theorem-map.md
	$(BIN)/jupyter-book build -W -n --keep-going --all .
	@echo "The book is built: file://$(CURDIR)/$(SITE)  (make serve serves it)"

serve:  ## serve the built book on http://127.0.0.1:8000
	@test -e $(SITE) || $(MAKE) book
	@echo "http://127.0.0.1:$(PORT)  (Ctrl+C stops)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

# One thread for each worker: two that share a core wait for each other most of the time.
test: book  ## build the book, then test memlib, the claims, the labs and the site
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile \
		--nbval --nbval-current-env --nbval-cell-timeout=600 \
		--nbval-sanitize-with=tests/nbval_sanitize.cfg \
		--doctest-modules --durations=10 tests memlib notebooks

bench: $(STAMP)  ## measure the performance claims, as ratios within one run
	$(BIN)/python -m scripts.bench

labs: $(STAMP)  ## run the labs again and store their outputs (LABS=notebooks/… for some)
	$(BIN)/python scripts/run_labs.py $(LABS)

lint: $(STAMP)  ## ruff, mypy, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

url: $(STAMP)  ## change the repository's address everywhere: make url URL=https://github.com/you/yours
	$(BIN)/python scripts/set_repository.py $(URL)

clean:  ## remove what make made, except .venv
	rm -rf _build build dist *.egg-info book/ledger book/ledger.md book/theorem-map.md
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
