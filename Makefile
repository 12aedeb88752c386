# `make` lists the targets. Settings: CONFIG="FILE ..." (overlays on config/config.yaml), ARGS="..." (for snakemake).
.DELETE_ON_ERROR:
.PHONY: help report check plan verify crate readme test test-slow test-slurm fuzz benchmark benchmark-workflow lint lock docs clean

# the Pythons that the locks serve; a new .venv gets the first that is one of them
SERVED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(or $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SERVED)' 2>/dev/null && echo $$python && break; done),python3)
# $(call check,a Python,what to do if it is another)
check = $(1) -c '$(SERVED)' || { echo 'Python 3.11, 3.12 or 3.13 is needed, but $(1) is' \
	"$$($(1) --version 2>&1): $(2)"; exit 1; }
TORCH := torch==2.13.0
CONFIG ?=
ARGS ?=

BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))
# a dry run leaves nothing to report on
REPORT := $(if $(filter -n --dry-run,$(ARGS)),,--report results/report.html --report-after-run)
# torch has a line of its own: its wheel differs between machines (CPU, CUDA), so its hash cannot be locked
INSTALL_LOCK := $(BIN)/pip install --require-hashes --no-deps -r
COMPILE := .venv/lock/bin/uv pip compile pyproject.toml envs/torch_dependencies.in --override envs/without_torch.in \
	--no-header --no-annotate -q
LOCK := $(COMPILE) --universal --python-version 3.11 --generate-hashes

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

report: .venv/.runtime ## run the workflow and write results/report.html
	$(SNAKEMAKE) $(REPORT)

check: .venv/.runtime ## look at the data of CONFIG without training: what they are, what is wrong, what a run takes
	@$(BIN)/snakemake check --forcerun check_dataset --quiet rules progress host reason $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

plan: .venv/.runtime ## what a run of CONFIG takes, before it runs: jobs, memory, time, GPU hours, and what a cluster gets
	@PYTHONPATH=workflow_scripts $(BIN)/python -m jamie.report.forecast $(ARGS) $(if $(CONFIG),--configfile $(CONFIG))

verify: .venv/.runtime ## hash what the run in this folder read and wrote, against what was recorded
	PYTHONPATH=workflow_scripts $(BIN)/python -m jamie.report.verify

crate: .venv/.runtime ## describe the finished run of CONFIG as an RO-Crate: results/ro-crate-metadata.json
	$(SNAKEMAKE) write_crate

readme: .venv/.runtime ## run config/examples/benchmark.yaml and put its table of results into README.md
	$(BIN)/snakemake $(ARGS) --configfile $(or $(CONFIG),config/examples/benchmark.yaml)
	PYTHONPATH=workflow_scripts $(BIN)/python -m jamie.report.results_table results/table.md README.md

# one worker a core; a file stays with one, so that what its tests share is made once
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: .venv/.test ## run the tests, but for the slow ones
	$(PYTEST)

test-slow: .venv/.test ## run the slow tests: several whole runs, and the commands of the documents
	$(PYTEST) -m slow

# with root and apt, what is missing of Slurm is installed; else the tests say what they lack, and are skipped
SLURM := slurmctld slurmd slurm-client munge

test-slurm: .venv/.test ## run the workflow on a Slurm of one node that is started for it (root, Debian or Ubuntu)
	@which slurmctld slurmd sbatch munged >/dev/null || { test $$(id -u) = 0 && command -v apt-get >/dev/null && \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends $(SLURM); } \
		|| echo 'Slurm is not there and cannot be installed'
	$(BIN)/python -m pytest -m slurm tests/slurm

# the short form: make benchmark SIZES="1000 3000"; STAGES and OPTIONS are those of tests/benchmarks/scaling.py
SIZES ?= 1000 3000 10000 30000 100000
STAGES ?=
OPTIONS ?=
DATA ?=
SEEDS ?= 0 1 2 3 4

# inputs in all, and the seed of the search
INPUTS ?= 2000
SEED ?= 0

fuzz: .venv/.test ## spoil INPUTS=2000 files of every kind and count what becomes of them
	OMP_NUM_THREADS=1 PYTHONPATH=tests:workflow_scripts $(BIN)/python -m fuzz.run --inputs $(INPUTS) --seed $(SEED)

benchmark: .venv/.runtime ## time and memory by SIZES="CELLS ..."; quality of the datasets in DATA=FOLDER
	$(BIN)/python tests/benchmarks/scaling.py --sizes $(SIZES) $(if $(STAGES),--stages $(STAGES)) $(OPTIONS)
	$(if $(DATA),$(BIN)/python tests/benchmarks/quality.py $(DATA) --seeds $(SEEDS))

benchmark-workflow: .venv/.runtime ## time, memory and start-up of every rule in a run of CONFIG (whole_genome.yaml)
	$(BIN)/python tests/benchmarks/costs.py $(or $(CONFIG),config/examples/whole_genome.yaml) $(ARGS)

lint: .venv/.test ## check style and formal faults
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow rules
	$(BIN)/snakemake --lint
	PYTHONPATH=workflow_scripts $(BIN)/lint-imports

docs: .venv/.runtime ## write config/README.md from the code
	PYTHONPATH=workflow_scripts $(BIN)/python -m jamie.report.describe > config/README.md

lock: ## bring both locks and the conda environment up to pyproject.toml (delete a lock first to renew all of it)
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install uv
	$(LOCK) -o envs/requirements.lock
	$(LOCK) --extra test --extra storage -c envs/requirements.lock -o envs/requirements-test.lock
	sed -i '/^      - /d' envs/environment.yaml
	echo '      - $(TORCH)' >> envs/environment.yaml
	$(COMPILE) --python-version 3.12 --python-platform linux -c envs/requirements.lock -o .venv/lock/conda.txt
	sed 's/^/      - /' .venv/lock/conda.txt >> envs/environment.yaml
	rm -r .venv/lock

clean: ## remove what runs have written here (not .venv)
	rm -rf results resources logs benchmarks checksums build/benchmark .snakemake

.venv/bin/pip:
	@$(call check,$(PYTHON),make PYTHON=/path/to/python3.12)
	$(PYTHON) -m venv .venv

.venv/.runtime: envs/requirements.lock | .venv/bin/pip
	@$(call check,$(BIN)/python,rm -r .venv)
	$(BIN)/pip install $(TORCH)
	$(INSTALL_LOCK) envs/requirements.lock
	touch $@

.venv/.test: envs/requirements-test.lock .venv/.runtime
	$(INSTALL_LOCK) envs/requirements-test.lock
	touch $@
