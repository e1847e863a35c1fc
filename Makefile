# The front door of ec2-lab. `make help` lists the targets by the comments on their lines, in groups that `##@` begins.
#
# Recipes interpolate no user input: variables are exported, and each script reads its own from the environment, so
# EXP='a b; c' arrives as one string and is refused there. `override … $(value …)` keeps
# make itself from expanding a $(shell …) in a value when it exports it.

VARIABLES := EXP SCRIPT COUNT MIN_COUNT DATASET VERSION TTL REGIONS COMPLETE_WITHIN HOST VOLUME SNAPSHOT MOUNT KEEP_LAST RETAIN_FOR REASON YES FIX OWNER BASE SOURCE PARAMS DEST RETRY_FAILED AGAIN FRESH SIZE OUTPUT FORCE NAME KEY MEMBER NEW_EXP PURGE ADOPT DRY_RUN PASSWORD INCLUDE_DATASETS SINCE UNTIL GROUP_BY REGISTRY ONLY RUNS RAW GPU MEMORY PORTS LOGDIR CMD TTY DELETE OUTPUTS RUN_ID VERBOSE WIDE JSON DEBUG COVERAGE FULL
# Some shells, and WSL, export these as the name of the computer that make runs on.
$(foreach variable,HOST NAME,$(if $(findstring environment,$(origin $(variable))),$(eval override $(variable) :=)))
$(foreach variable,$(VARIABLES),$(eval override $(variable) := $$(value $(variable))))
export $(VARIABLES)
export GOALS := $(value MAKECMDGOALS)

VENV := .venv
READY := $(VENV)/ready
READY_TO_TEST := $(VENV)/ready-to-test
COMPILE = $(VENV)/bin/pip-compile pyproject.toml --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header
RUN := @$(VENV)/bin/python -m
PYTHON ?= python3
LIST_TARGETS = /^\#\#@ / { print (groups++ ? "\n" : "") substr($$0, 5) } \
	/^[a-z-]+:.*\#\# / { printf "  make %-17s %s\n", $$1, $$2 }

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

##@ Everyday

launch: $(READY)  ## Launch EXP with its data mounted (COUNT=8 for several)
	$(RUN) scripts.launch

status: $(READY)  ## List live instances: zone, age, data, expiry, cost
	$(RUN) scripts.status

logs: $(READY)  ## Follow the log of EXP's command (HOST=foo-2 for one)
	$(RUN) scripts.logs

ssh: $(READY)  ## Log in to EXP's instance, host key pinned (HOST=foo-2)
	$(RUN) scripts.ssh

teardown: $(READY)  ## Delete everything EXP owns, verify it (EXP='foo-*')
	$(RUN) scripts.teardown

##@ Instances and runs

new: $(READY)  ## Write a commented experiments/EXP.toml to start from
	$(RUN) scripts.new

plan: $(READY)  ## Show what a launch of EXP would do, and its price
	$(RUN) scripts.plan

gpus: $(READY)  ## List GPU instances: price, quota (GPU=A100 COUNT=8)
	$(RUN) scripts.gpus

sweep: $(READY)  ## Launch an instance per combination of EXP's matrix
	$(RUN) scripts.sweep

rerun: $(READY)  ## Repeat EXP's last run under the name NEW_EXP
	$(RUN) scripts.rerun

wait: $(READY)  ## Wait for EXP's command; exit with its status
	$(RUN) scripts.wait

exec: $(READY)  ## Run CMD on EXP's instances at once (HOST=foo-2, TTY=1)
	$(RUN) scripts.exec

ps: $(READY)  ## Show who runs what, since when, at what cost
	$(RUN) scripts.ps

top: $(READY)  ## Show GPU, CPU, disk, network use of EXP's instances
	$(RUN) scripts.top

push: $(READY)  ## Copy SOURCE here to DEST on EXP's instances
	$(RUN) scripts.push

pull: $(READY)  ## Copy SOURCE on EXP's instances here (or OUTPUTS=1)
	$(RUN) scripts.pull

outputs: $(READY)  ## List the outputs of EXP's runs in S3 (EXP='foo-*')
	$(RUN) scripts.outputs

forward: $(READY)  ## Forward ports of EXP to here (PORTS="8888 6006")
	$(RUN) scripts.forward

jupyter: $(READY)  ## Open Jupyter Lab on EXP's instance
	$(RUN) scripts.jupyter

tensorboard: $(READY)  ## Open TensorBoard on LOGDIR of EXP's instance
	$(RUN) scripts.tensorboard

watch: $(READY)  ## Follow EXP; relaunch what AWS interrupts
	$(RUN) scripts.watch

stop: $(READY)  ## Stop EXP's instances; volumes stay (YES=1 confirms)
	$(RUN) scripts.stop

start: $(READY)  ## Start EXP's stopped instances, retrying for capacity
	$(RUN) scripts.start

ttl-set: $(READY)  ## Set EXP's expiry to TTL from now (TTL=4h, TTL=never)
	$(RUN) scripts.ttl_set

history: $(READY)  ## List everything done for EXP, archive included
	$(RUN) scripts.history

##@ Data

datasets: $(READY)  ## List datasets: regions, versions, sizes, costs
	$(RUN) scripts.datasets

dataset-build: $(READY)  ## Build a version of DATASET from SOURCE (path or s3://)
	$(RUN) scripts.dataset_build

dataset-verify: $(READY)  ## Read DATASET back and compare it with its source
	$(RUN) scripts.dataset_verify

dataset-prune: $(READY)  ## Delete versions beyond the newest KEEP_LAST (YES=1)
	$(RUN) scripts.dataset_prune

snapshot-create: $(READY)  ## Snapshot a volume of EXP or HOST as a DATASET version
	$(RUN) scripts.snapshot_create

snapshot-copy: $(READY)  ## Copy DATASET's snapshot to REGIONS, ahead of launches
	$(RUN) scripts.snapshot_copy

volume-mount: $(READY)  ## Mount VOLUME, SNAPSHOT or DATASET on HOST at MOUNT
	$(RUN) scripts.volume_mount

volume-unmount: $(READY)  ## Unmount MOUNT of HOST, and delete or keep its volume
	$(RUN) scripts.volume_unmount

volume-retain: $(READY)  ## Extend VOLUME's retention (RETAIN_FOR=30d, from today)
	$(RUN) scripts.volume_retain

volume-delete: $(READY)  ## Delete VOLUME, which a teardown retained (YES=1)
	$(RUN) scripts.volume_delete

##@ People

users: $(READY)  ## Apply members/ to HOST's accounts (DRY_RUN=1)
	$(RUN) scripts.users

user-add: $(READY)  ## Add member NAME (KEY=path.pub), on HOST too if named
	$(RUN) scripts.user_add

user-remove: $(READY)  ## Remove member NAME, and their account on HOST
	$(RUN) scripts.user_remove

##@ Money

cost: $(READY)  ## Show costs (SINCE= UNTIL= GROUP_BY=member)
	$(RUN) scripts.cost

report: $(READY)  ## Write report.html: instances, API errors, costs, data
	$(RUN) scripts.report

audit: $(READY)  ## Find unmanaged resources that cost money (FIX=1)
	$(RUN) scripts.audit

##@ Administration

doctor: $(READY)  ## Check credentials, quotas, files, ssh; suggest fixes
	$(RUN) scripts.doctor

setup-aws: $(READY)  ## Show what the AWS account lacks; create it (YES=1)
	$(RUN) scripts.setup_aws

teardown-aws: $(READY)  ## Delete what the lab owns in the account (YES=1)
	$(RUN) scripts.teardown_aws

registry-push: $(READY)  ## Copy this registry to DEST (dynamodb://REGION/TABLE)
	$(RUN) scripts.registry_push

registry-pull: $(READY)  ## Copy the registry at SOURCE into this lab's own
	$(RUN) scripts.registry_pull

registry-rebuild: $(READY)  ## Import resources with the lab's tags (YES=1)
	$(RUN) scripts.registry_rebuild

script: $(READY)  ## Run a plugin's SCRIPT; without SCRIPT, list them
	$(RUN) scripts.script

local-cloud: $(READY)  ## Start the local cloud (other targets do when needed)
	$(RUN) local_cloud start

local-cloud-stop: $(READY)  ## Stop the local cloud and discard its resources
	$(RUN) local_cloud stop

help:  ## List the targets
	@awk -F ':.*## ' '/^##@ Development/ { exit } $(LIST_TARGETS)' Makefile

help-all:  ## List the targets for development as well
	@awk -F ':.*## ' '$(LIST_TARGETS)' Makefile

##@ Development

test: $(READY_TO_TEST)  ## Run the tests (COVERAGE=1, FULL=1)
	$(RUN) tests

test-hosts: $(READY_TO_TEST)  ## Run the tests on real sshds and Debian roots (FULL=1)
	$(RUN) pytest -m host tests/hosts

test-vm: $(READY_TO_TEST)  ## Run the tests on a VM in qemu (FULL=1)
	$(RUN) pytest -m vm -n 3 --dist loadfile --no-loadscope-reorder --timeout 1800 tests/vm

test-crash: $(READY_TO_TEST)  ## Kill commands at every boundary of their work (FULL=1)
	$(RUN) pytest -m crash -rP tests/crash

test-emulators: $(READY_TO_TEST)  ## Run the lab on AWS emulators other than moto
	$(RUN) pytest -m emulator -n 2 tests/emulators

test-gpu: $(READY_TO_TEST)  ## Run the tests on this computer's NVIDIA GPUs
	$(RUN) pytest -m gpu -n 0 -rs tests/gpu

lint: $(READY_TO_TEST)  ## Check style, layers and vocabulary
	$(RUN) ruff check
	$(RUN) ruff format --check
	@$(VENV)/bin/lint-imports --no-logo
	$(RUN) tests.vocabulary

types: $(READY_TO_TEST)  ## Check types
	$(RUN) mypy

mutants: $(READY_TO_TEST)  ## Mutate the code that deletes and bills (ONLY=redaction)
	$(RUN) tests.mutants

dependencies: $(READY_TO_TEST)  ## Check the pinned packages for known vulnerabilities
	@$(VENV)/bin/python -m pip check
	@command -v pip-audit >/dev/null || { echo 'error: pip-audit is not installed (pipx install pip-audit)' >&2; exit 1; }
	@pip-audit --requirement requirements.lock --disable-pip --require-hashes --progress-spinner off

bench: $(READY_TO_TEST)  ## Measure, and write docs/benchmarks.md (ONLY=launch)
	$(RUN) bench

demo-svg: $(READY_TO_TEST)  ## Record docs/terminal.svg
	@$(VENV)/bin/python docs/terminal.py

schema: $(READY)  ## Generate the reference of JSON events
	@$(VENV)/bin/python -m ec2lab.events.schema

lock: $(READY_TO_TEST)  ## Pin the dependencies of pyproject.toml
	@$(COMPILE) --extra local --output-file requirements.lock
	@$(COMPILE) --extra local --extra dev --constraint requirements.lock --output-file requirements-dev.lock

$(READY): requirements.lock scripts/environment.py docs/iam-policy.json docs/iam-policy-data.json
	@$(PYTHON) scripts/environment.py $@ requirements.lock

$(READY_TO_TEST): requirements-dev.lock $(READY)
	@$(PYTHON) scripts/environment.py $@ requirements-dev.lock

.DEFAULT:
	@$(PYTHON) scripts/unknown_target.py
