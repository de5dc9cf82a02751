# `make help` lists what there is. Needs Python 3.11 or later with venv and pip; everything lands in .venv.
PYTHON ?= python3
VENV   ?= .venv
DEMO   ?= results-demo
BENCH  ?= results-bench
PAPER  ?= results-paper
# Test processes; each loads torch.
JOBS   ?= 2
PYTEST_ARGS ?=

BIN := $(VENV)/bin
# One thread a test process: small tensors run slower on many, and processes share the cores.
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

# Threads spin for some microseconds before they sleep: those that sleep at once (OMP_WAIT_POLICY=PASSIVE) take 2.5 times as long for a step of
# pet-m, and those that spin for long, as by default, many times as long where the machine does other things too.
QUIETLY := GOMP_SPINCOUNT=3000

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo summary test test-slow test-gpu test-slurm test-models lint format docs tutorials wheel train-pet-m train-water paper bench constraints clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## Make .venv and install ncbench with what the demo and the tests need

$(VENV)/.installed: pyproject.toml constraints.txt
	@found=$$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null) || found='not to be run here'; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "ncbench needs Python 3.11 or later, but '$(PYTHON)' is $$found: name another, as in 'make PYTHON=python3.12 install'." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed: install your system's venv package (Debian and Ubuntu: python3-venv)." >&2; exit 1; }
	$(BIN)/python -m pip install -c constraints.txt -e '.[demo,dev]'
	@touch $@

# Exit code 1 says that a use is unsafe or open, which is what the demo shows.
demo: install  ## May the bundled model, in both force modes, and SevenNet-0 be used for dynamics? 6 minutes on 2 cores, a page and a figure
	$(QUIETLY) $(BIN)/ncbench assess --model pet-m:direct --model pet-m:conservative --model sevennet-0 --time 275s --out $(DEMO) || test $$? -eq 1
	$(BIN)/ncbench summary $(DEMO)

summary: install  ## Table and figure of the demo's results again, without running anything
	$(BIN)/ncbench summary $(DEMO)

test: install  ## Fast tests, and MACE in an environment of its own: under 10 minutes on 2 cores
	$(TESTS) $(PYTEST_ARGS)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m isolated -k mace $(PYTEST_ARGS)

test-slow: install  ## The tests that take long
	$(TESTS) -m "slow and not gpu and not isolated and not slurm and not simulated" $(PYTEST_ARGS)

test-gpu: install  ## The tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

test-slurm: install  ## A Slurm on this one machine, and jobs through it: needs slurmctld, slurmd and root
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm $(PYTEST_ARGS)

test-models: install  ## Every model family in its own environment, made on first use: gigabytes, minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m isolated $(PYTEST_ARGS)

lint: install  ## ruff (rules and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict ncbench

format: install  ## Let ruff rewrite what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## The documentation site in docs/_build/html; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

tutorials: install  ## Run the commands of the tutorials and write their outputs into the pages
	$(QUIETLY) $(BIN)/python docs/run_tutorials.py

wheel: install  ## sdist and wheel in dist/, checked
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[release]'
	rm -rf dist
	$(BIN)/python -m build -o dist .
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

train-pet-m: install  ## Train the bundled model again: minutes on a GPU, hours on 2 cores
	$(BIN)/python -m pip install -c constraints.txt -e '.[train]'
	$(BIN)/python benchmarks/training/pet_m/train.py

train-water: install  ## Train the models of the paper's Tables 1, 3 and 6, small: two hours on 2 cores
	$(BIN)/python -m pip install -c constraints.txt -e '.[train-soap]'
	$(BIN)/python benchmarks/training/water/train.py

paper: install  ## The paper's tables, figures and a report, at the laptop's budget: under an hour on 2 cores
	$(QUIETLY) $(BIN)/ncbench reproduce all --budget laptop --out $(PAPER)

# One thread a process, then the goals on two cores; bench_scaling ends with 1 where a job costs more than its goal.
bench: install  ## Speed of the models and against other programs on this machine, and a table of the goals: some three quarters of an hour on 2 idle cores (estimated)
	$(BIN)/ncbench run benchmarks/bench.toml --out $(BENCH)
	for script in 'start' 'profile' 'lambda_auto --rounds 2' 'lambda --only direct' 'md --only neighbours,replicas' 'relax' 'layers'; do \
	  set -- $$script; name=$$1; shift; \
	  OMP_NUM_THREADS=1 $(BIN)/python -W ignore benchmarks/bench_$$name.py "$$@" --out $(BENCH) || exit; \
	done
	$(BIN)/python -W ignore benchmarks/bench_processes.py --out $(BENCH)
	for script in 'lambda --only direct' 'md --only replicas' 'relax'; do \
	  set -- $$script; name=$$1; shift; \
	  $(BIN)/python -W ignore benchmarks/bench_$$name.py "$$@" --threads 2 --out $(BENCH) || exit; \
	done
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench_scaling.py --out $(BENCH) || test $$? -eq 1
	$(BIN)/python benchmarks/bench_table.py --in $(BENCH)

constraints: install  ## Write the versions of .venv into constraints.txt, bare (no local tags)
	@{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable --all \
	  | sed -e 's/ @ .*//' -e 's/+.*//' | grep '==' | grep -v '^pip=='; } > constraints.new
	mv constraints.new constraints.txt
	@touch $(VENV)/.installed

clean:  ## Remove caches and the results of demo and bench; .venv stays
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage* htmlcov $(DEMO) $(BENCH)
	find ncbench tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
