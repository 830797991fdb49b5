# Every target works on a fresh checkout. Completed steps are skipped.
PYTHON ?= python3
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# One's own catalog and checkpoint: make embed CATALOG=feed.csv MODEL=openai/clip-vit-base-patch32 OUT=shards/mine
CATALOG ?=
MODEL   ?=
OUT     ?=

# Two tests at a time: threads that wait must not spin, what is compiled is kept for the processes that tests start, and
# tests that share what was made for them stay together until one half is done.
TESTING := OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=0 PYTHONDONTWRITEBYTECODE=

.DEFAULT_GOAL := help

.PHONY: help install demo embed train-brand train-category finetune-category score test test-quick check format bench pretrain clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed  ## a virtual environment in .venv with prodemb in it

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e '.[fast,excel]'
	touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install --quiet -c constraints.txt -e '.[fast,excel,dev]'
	touch $@

demo: install  ## the whole job on a generated catalog
	$(BIN)/prodemb run

embed: install  ## stage one: catalog to shards
	$(BIN)/prodemb embed $(CATALOG) $(if $(MODEL),--model $(MODEL)) $(if $(OUT),--out $(OUT))

train-brand: embed  ## stage two: the brand head
	$(BIN)/prodemb train-brand

train-category: embed  ## stage two: the category head
	$(BIN)/prodemb train-category

finetune-category: install  ## fine-tune CLIP for categories, regenerate its shards, train the head on them
	$(BIN)/prodemb finetune-category $(CATALOG) $(if $(MODEL),--model $(MODEL))

score: install  ## shards to out.parquet
	$(BIN)/prodemb score shards/ out.parquet

test: .venv/installed-dev  ## the test suite
	$(TESTING) $(BIN)/python -m pytest -n 2 --dist worksteal

test-quick: .venv/installed-dev  ## the tests that take seconds, without those marked slow
	$(TESTING) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

check: .venv/installed-dev  ## format, lint, types, import layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev  ## format the code and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/installed-dev  ## stage one, decoding, precision and shards, as ratios to their ceilings (tests/bench/RESULTS.md)
	$(PIP) install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python tests/bench/stage_one.py
	$(BIN)/python tests/bench/decode.py
	$(BIN)/python tests/bench/precision.py
	$(BIN)/python tests/bench/shards.py

pretrain: install  ## pretrain the bundled CLIP again (minutes)
	$(BIN)/python -m prodemb.bundled.pretrain

clean:  ## remove what the commands made, but not .venv
	rm -rf sample shards heads checkpoints runs out.parquet report.html aliases.csv
