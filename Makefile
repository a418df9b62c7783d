# Every target first makes .venv when it is missing or older than the pins, and says what it does.
#   make repro   set up, run the whole pipeline, publish it, print the scores
#   make test    set up, run every check
#   make retrain bring everything up to date with this commit, judge it and report it in retrain.md
#   make ui      the MLflow UI over what was published, on http://127.0.0.1:5000
#   make report  bring report/index.html up to date
#   make bench   time our training against plain loops, side by side
#   make clean   remove all that the pipeline wrote, also DVC's cache and the MLflow store; .venv and downloads stay

PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
# Byte code for every process to come, made on all cores (pip uses one); a few packages hold files for other Pythons.
COMPILE = @$(VENV)/bin/python -m compileall -q -q -j 0 -x '/(tests?|testing|_inductor)/' $(VENV)/lib >/dev/null || true

# What the report's page holds of others: exact versions and hashes stand in web/package-lock.json. Where npm's registry
# does not answer all else goes on: `reprogan doctor` says what the page will lack.
web = @mkdir -p $(VENV)/web && cp web/package.json web/package-lock.json $(VENV)/web/ \
	  && npm ci $(1) --prefix $(VENV)/web --ignore-scripts --no-audit --no-fund --loglevel=error \
	  || echo "make: npm could not fetch what web/package.json names; the report has no curves and no explorer" >&2

.PHONY: repro retrain test ui report bench clean setup setup-test
.DELETE_ON_ERROR:

# A fresh clone has a dvc.lock that says `publish` is done, and no MLflow store yet: publishing again adds what is missing.
repro: setup
	reprogan doctor --fall-back-offline
	reprogan repro
	python stages/publish.py
	reprogan summary

test: setup-test
	ruff check .
	ruff format --check .
	mypy --num-workers 2
	@# Servers and kills wait: three keep two cores busy. What the tests of a file share is made once, for they stay together.
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 40

retrain: setup
	reprogan doctor --fall-back-offline
	reprogan retrain

ui: setup
	reprogan ui

report: setup
	reprogan repro report
	@echo "open report/index.html"

bench: setup
	reprogan bench

clean:
	rm -rf data/checked data/code data/parameters.json data/processed data/references models samples scores exports report .reprogan .dvc/cache .dvc/tmp mlruns mlflow.db mlflow.db.lock
	git checkout -q -- metrics 2>/dev/null || true

setup: $(VENV)/.ready
setup-test: $(VENV)/.ready-test

# The pins are the whole closure, so pip has nothing to resolve (--no-deps) and `pip check` proves it. Two pips at once
# (xargs, so that Ctrl-C ends both), over files apart: unpacking torch takes one core as long as the rest takes another.
$(VENV)/.ready: requirements-compute.txt requirements.txt pyproject.toml web/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $$($(PYTHON) --version); ReproGAN needs Python 3.11 or later; run: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Making $(VENV): torch and friends, about 3 GB to fetch the first time; a few minutes"
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@grep -v '^-r' requirements.txt >$(VENV)/others.txt
	printf '%s\n' requirements-compute.txt $(VENV)/others.txt \
	  | xargs -P 2 -I PINS $(PIP) install --quiet --no-deps --no-compile -r PINS
	$(PIP) install --quiet --no-deps --no-compile --no-build-isolation --editable .
	$(PIP) check
	$(call web,--omit=dev)
	$(COMPILE)
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready requirements-test.txt
	@echo "Adding what the checks need to $(VENV)"
	$(PIP) install --quiet --no-deps -r requirements-test.txt
	$(PIP) check
	$(call web)
	@touch $@
