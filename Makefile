# The front door of ec2-lab. `make help` lists every target from the comment on its line.
#
# Recipes interpolate nothing that a user gives: variables are exported, and each script reads its own from the
# environment, so EXP='a b; c' arrives as one string and is refused there by name. `override … $(value …)` keeps
# make itself from expanding a $(shell …) in a value when it exports it.

VARIABLES := EXP SCRIPT COUNT MIN_COUNT DATASET VERSION TTL REGIONS WITHIN HOST VOLUME SNAPSHOT MOUNT KEEP KEEP_FOR REASON YES FIX OF FROM SET TO FAILED SIZE OUT FORCE NAME KEY MEMBER AS PURGE ADOPT CHECK PASSWORD WITH_DATA SINCE UNTIL BY REGISTRY ONLY RUNS RAW JSON DEBUG COVERAGE FULL
# make has some of its own by these names: AS is its assembler.
$(foreach variable,$(VARIABLES),$(if $(filter default,$(origin $(variable))),$(eval override $(variable) :=)))
# Some shells, and WSL, export these as the name of the machine that make runs on.
$(foreach variable,HOST NAME,$(if $(findstring environment,$(origin $(variable))),$(eval override $(variable) :=)))
$(foreach variable,$(VARIABLES),$(eval override $(variable) := $$(value $(variable))))
export $(VARIABLES)

VENV := .venv
READY := $(VENV)/ready
READY_TO_TEST := $(VENV)/ready-to-test
COMPILE = $(VENV)/bin/pip-compile pyproject.toml --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header
RUN := @$(VENV)/bin/python -m
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z][a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

launch: $(READY)  ## Launch EXP on a fresh machine with its data mounted (COUNT=8 for several)
	$(RUN) scripts.launch

sweep: $(READY)  ## Launch every combination of EXP's matrix (again: what failed or was not begun)
	$(RUN) scripts.sweep

relaunch: $(READY)  ## Launch the last run of EXP again as it was, under the name AS
	$(RUN) scripts.relaunch

logs: $(READY)  ## Follow the log of EXP's command until it has ended (HOST=foo-2 of several machines)
	$(RUN) scripts.logs

wait: $(READY)  ## Wait until EXP's command has ended, and end as it did (EXP='speech-*' for several)
	$(RUN) scripts.wait

teardown: $(READY)  ## Delete everything that EXP owns, and prove that it is gone
	$(RUN) scripts.teardown

stop: $(READY)  ## Stop EXP's machines; their volumes stay (YES=1 where something would be lost)
	$(RUN) scripts.stop

start: $(READY)  ## Start EXP's stopped machines again, asking for capacity as long as retry_for
	$(RUN) scripts.start

extend: $(READY)  ## Let EXP's machines end TTL from now (TTL=4h; TTL=never)
	$(RUN) scripts.extend

status: $(READY)  ## Show what lives: where, since when, which data is on it
	$(RUN) scripts.status

cost: $(READY)  ## Show what it all cost (SINCE=2026-10-01 UNTIL=2026-11-01 BY=member|experiment|region|kind)
	$(RUN) scripts.cost

report: $(READY)  ## Write OUT (report.html): machines and refusals over time, costs, data sets, what audit finds
	$(RUN) scripts.report

plan: $(READY)  ## Show what a launch of EXP would do: where, at what price, what is out and why
	$(RUN) scripts.plan

watch: $(READY)  ## Follow EXP; put back what AWS takes away, if the experiment says relaunch
	$(RUN) scripts.watch

snapshot-copy: $(READY)  ## Copy the snapshot of DATASET to REGIONS, so that launches find it there
	$(RUN) scripts.snapshot_copy

snapshot-create: $(READY)  ## Snapshot a volume of EXP or HOST (MOUNT or VOLUME) as a version of DATASET
	$(RUN) scripts.snapshot_create

dataset-build: $(READY)  ## Build a version of DATASET from FROM: a directory, tarball, image or s3://bucket/prefix
	$(RUN) scripts.dataset_build

dataset-verify: $(READY)  ## Read DATASET back and compare it with what was built
	$(RUN) scripts.dataset_verify

datasets: $(READY)  ## List data sets: regions, versions, sizes, costs
	$(RUN) scripts.datasets

datasets-prune: $(READY)  ## Show what goes beyond the newest KEEP versions; YES=1 deletes it
	$(RUN) scripts.datasets_prune

volume-mount: $(READY)  ## Mount VOLUME, SNAPSHOT or DATASET on HOST at MOUNT
	$(RUN) scripts.volume_mount

volume-unmount: $(READY)  ## Unmount MOUNT of HOST, and give its volume back
	$(RUN) scripts.volume_unmount

volume-keep: $(READY)  ## Keep VOLUME, which a teardown kept, until KEEP_FOR from today (KEEP_FOR=30d REASON='…')
	$(RUN) scripts.volume_keep

volume-delete: $(READY)  ## Show VOLUME, which a teardown kept; YES=1 deletes it
	$(RUN) scripts.volume_delete

users: $(READY)  ## Bring HOST to exactly the members' accounts (CHECK=1 shows, PURGE=1 deletes old ones, ADOPT=1 takes over)
	$(RUN) scripts.users

user-add: $(READY)  ## Add member NAME (KEY=path.pub), with an account on HOST if named
	$(RUN) scripts.user_add

user-remove: $(READY)  ## Remove member NAME, and their account on HOST
	$(RUN) scripts.user_remove

ssh: $(READY)  ## Log in to EXP's machine, its host key pinned
	$(RUN) scripts.ssh

audit: $(READY)  ## Search all regions for what costs money and nobody remembers (FIX=1 deletes your orphans)
	$(RUN) scripts.audit

registry-rebuild: $(READY)  ## Take into the registry what carries the lab's tags and is not in it (YES=1)
	$(RUN) scripts.registry_rebuild

doctor: $(READY)  ## Look at all that can be wrong (EXP for one experiment), and say what mends it
	$(RUN) scripts.doctor

history: $(READY)  ## Show what was ever done for EXP, from the registry and its archive
	$(RUN) scripts.history

registry-push: $(READY)  ## Copy this lab's registry into the one at TO (dynamodb://REGION/TABLE)
	$(RUN) scripts.registry_push

registry-pull: $(READY)  ## Copy the registry at FROM into this lab's own
	$(RUN) scripts.registry_pull

new: $(READY)  ## Write a commented experiments/EXP.toml to start from
	$(RUN) scripts.new

script: $(READY)  ## Run SCRIPT, which a plugin brings; without SCRIPT, list them
	$(RUN) scripts.script

setup-aws: $(READY)  ## Show what the lab needs once per region of an AWS account; YES=1 makes it
	$(RUN) scripts.setup_aws

teardown-lab: $(READY)  ## Show what the lab itself owns in the account; YES=1 deletes it (WITH_DATA=1 data sets too)
	$(RUN) scripts.teardown_lab

local-cloud: $(READY)  ## Start the local cloud (other targets start it when they need it)
	$(RUN) scripts.local_cloud start

local-cloud-stop: $(READY)  ## Stop the local cloud; what lived in it is gone
	$(RUN) scripts.local_cloud stop

test: $(READY_TO_TEST)  ## Run the tests (COVERAGE=1 shows branches left out, FULL=1 runs the longest forms too)
	$(RUN) tests

test-hosts: $(READY_TO_TEST)  ## Run the tests on real sshds, shells and file systems, in namespaces (FULL=1: all of them on each Debian release)
	$(RUN) pytest -m host tests/hosts

test-vm: $(READY_TO_TEST)  ## Run the tests on a real machine image in qemu (VM_ACCEL=kvm where that works, FULL=1: each boots from its kernel)
	$(RUN) pytest -m vm -n 2 --dist loadfile --timeout 1800 tests/vm

test-crash: $(READY_TO_TEST)  ## Kill each command at every boundary of its work; launch in 200 weathers (FULL=1: all races, both ways on)
	$(RUN) pytest -m crash -rP tests/crash

test-emulators: $(READY_TO_TEST)  ## Run a lab's whole life on AWS emulators that are not moto (ministack, roto)
	$(RUN) pytest -m emulator -n 2 tests/emulators

lint: $(READY_TO_TEST)  ## Check style
	$(RUN) ruff check
	$(RUN) ruff format --check

types: $(READY_TO_TEST)  ## Check types
	$(RUN) mypy

mutants: $(READY_TO_TEST)  ## Break what decides on ownership, deletion and money, one change at a time: does a test notice (ONLY=redaction)
	$(RUN) tests.mutants

dependencies: $(READY_TO_TEST)  ## Check what is pinned: does it fit together, are vulnerabilities of it known (pip-audit)
	@$(VENV)/bin/python -m pip check
	@command -v pip-audit >/dev/null || { echo 'error: pip-audit is not installed (pipx install pip-audit)' >&2; exit 1; }
	@pip-audit --requirement requirements.lock --disable-pip --require-hashes --progress-spinner off

bench: $(READY_TO_TEST)  ## Measure, beside the AWS CLI and bare boto3, and write docs/benchmarks.md (ONLY=launch for a part)
	$(RUN) bench

picture: $(READY_TO_TEST)  ## Record docs/terminal.svg anew
	@$(VENV)/bin/python docs/terminal.py

lock: $(READY_TO_TEST)  ## Pin the dependencies of pyproject.toml anew
	@$(COMPILE) --extra local --output-file requirements.lock
	@$(COMPILE) --extra local --extra dev --constraint requirements.lock --output-file requirements-dev.lock

$(READY): requirements.lock scripts/environment.py docs/iam-policy.json docs/iam-policy-data.json
	@$(PYTHON) scripts/environment.py $@ requirements.lock

$(READY_TO_TEST): requirements-dev.lock $(READY)
	@$(PYTHON) scripts/environment.py $@ requirements-dev.lock
