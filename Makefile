# Vedette's commands; `make help` lists them. All set-up is done by the targets themselves.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SETUP := PYTHON="$(PYTHON)" agent/vedette_dev/setup.sh
LOCK := build/lock
EBPF := agent/vedette/sensors/_ebpf
CHEAP := tests/unit tests/playbook
ON_ALL_CORES := -q -n auto --dist worksteal
QUICKLY := --hypothesis-profile quick -m "not thorough"
THE_REST := $(addprefix --ignore=,$(CHEAP) tests/conformance) tests

# Tests start Python some thousand times: what it compiled is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run attack atomic matrix release-demo deb firmware-source images qemu qemu-test qemu-report qemu-bench qemu-cuts docker-test deb-test test check lint ebpf bench bench-readme coverage fuzz powercut torture lock clean
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*## /\t/' | expand -t 16

$(VENV)/ready: pyproject.toml requirements.txt
	@$(SETUP) venv $(VENV)

ebpf: ## compile the programs for the kernel (without them the agent uses audit)
	@$(SETUP) ebpf $(EBPF)

run: $(VENV)/ready ebpf ## guard this machine: broker, agent, and incidents as they come (Ctrl-C stops all)
	@$(SETUP) programs broker
	@exec $(PY) -m vedette_dev run $(ARGS)

attack: $(VENV)/ready ebpf ## in a second terminal: play harmless attacks, say which were caught (MODE=enforce: contained) and how fast
	@$(SETUP) programs attacks
	@exec $(PY) -m vedette_dev attack $(if $(MODE),--mode $(MODE)) $(ARGS)

atomic: $(VENV)/ready ebpf ## run ../shared's corpus of attack commands in throwaway roots, write agent/docs/atomic.md
	@$(SETUP) programs atomic
	@exec $(PY) -m vedette_dev atomic --page agent/docs/atomic.md $(ARGS)

matrix: $(VENV)/ready ebpf ## play all attacks on every tier, write agent/docs/detections.md
	@$(SETUP) programs attacks
	@$(SETUP) programs broker
	@exec $(PY) -m vedette_dev matrix $(ARGS)

release-demo: $(VENV)/ready ebpf ## keys, repository, releases of rules, firmware and a model, good and bad (ARGS=--json)
	@$(SETUP) programs broker
	@exec $(PY) -m vedette_dev release-demo $(ARGS)

deb: $(VENV)/ready ebpf ## Debian packages into build/deb (ARCH=amd64|arm64|armhf, SUITE=bookworm|trixie; default: all)
	@exec $(PY) -m vedette_dev deb $(if $(ARCH),--arch $(ARCH)) $(if $(SUITE),--suite $(SUITE)) $(ARGS)

images: $(VENV)/ready ebpf ## disks with real A/B boot into build/images (ARCH=amd64|arm64|armhf; default: all; as root)
	@$(SETUP) programs images
	@exec $(PY) -m vedette_dev images $(if $(ARCH),--arch $(ARCH)) $(ARGS)

qemu: $(VENV)/ready ebpf ## a root console on a device in QEMU (ARCH=arm64), its incidents at a broker here (Ctrl-A X ends it)
	@$(SETUP) programs images
	@$(SETUP) programs broker
	@exec $(PY) -m vedette_dev qemu $(if $(ARCH),--arch $(ARCH)) $(ARGS)

firmware-source: $(VENV)/ready ebpf ## the archive that OpenWrt and Yocto build from, into build/firmware
	@exec $(PY) -m vedette_dev firmware-source $(ARGS)

lint: $(VENV)/ready
	@echo "style" && $(PY) -m ruff format --check --quiet agent tests && $(PY) -m ruff check --quiet agent tests
	@echo "types (about a minute without a cache)" && $(PY) -m mypy
	@echo "import contracts" && mkdir -p build && { $(PY) -c 'from importlinter.cli import lint_imports_command as c; c()' \
		--no-cache > build/contracts.txt || { cat build/contracts.txt; exit 1; }; } && tail -n 6 build/contracts.txt

check: $(VENV)/ready ## style, types, import contracts, unit tests with few examples (a good minute)
	@mkdir -p build; { $(MAKE) --silent lint; echo $$? > build/lint.code; } > build/lint.txt 2>&1 & \
		$(PY) -m pytest $(ON_ALL_CORES) $(QUICKLY) $(CHEAP); tests=$$?; wait; cat build/lint.txt; \
		exit $$((tests | $$(cat build/lint.code)))

test: lint ebpf ## everything this machine can run; what it cannot is skipped with its reason
	@$(SETUP) programs tests
	@$(if $(ARGS),$(PY) -m pytest $(ARGS) tests,$(PY) -m pytest $(ON_ALL_CORES) -m "not (kernel or system or device)" tests && \
		$(PY) -m pytest -m "kernel or system" $(THE_REST))

qemu-test: $(VENV)/ready ebpf ## real boots: attacks, updates, failures (ARCH=arm64; SCOPE=acceptance for what .ci/run plays)
	@$(SETUP) programs images
	@code=0; for arch in $(or $(ARCH),arm64 amd64 armhf); do VEDETTE_QEMU_ARCH=$$arch $(PY) -m pytest \
		-m "$(or $(SCOPE),not acceptance)" --durations=0 --durations-min=1 $(ARGS) tests/device \
		|| { code=$$?; [ $$code -eq 1 ] || break; }; done; \
	$(PY) -m vedette_dev qemu-report && exit $$code

qemu-report: $(VENV)/ready ## what qemu-test and qemu-cuts of this clone saw, into agent/docs/images.md
	@exec $(PY) -m vedette_dev qemu-report --page agent/docs/images.md $(ARGS)

qemu-bench: $(VENV)/ready ebpf ## what the agent costs on the images, written into agent/docs/images.md (ARCH=arm64)
	@$(SETUP) programs images
	@exec $(PY) -m vedette_dev qemu-bench $(if $(ARCH),--arch $(ARCH)) $(ARGS)

qemu-cuts: $(VENV)/ready ebpf ## record a firmware update, cut the power in hundreds of ways, start some (ARCH=arm64)
	@$(SETUP) programs images
	@exec $(PY) -m vedette_dev qemu-cuts $(if $(ARCH),--arch $(ARCH)) $(ARGS)

docker-test: $(VENV)/ready ## qemu-test in a container, for who has only docker (ARCH=arm64, SCOPE, ARGS; report in build/docker-test)
	@exec $(PY) -m vedette_dev docker-test $(if $(ARCH),--arch $(ARCH)) \
		$(if $(SCOPE),'SCOPE=$(SCOPE)') $(if $(ARGS),'ARGS=$(ARGS)')

deb-test: $(VENV)/ready ebpf ## the .deb's life in a container with systemd: installed, upgraded, removed, purged (needs docker)
	@VEDETTE_MACHINE=docker $(PY) -m pytest $(ARGS) tests/packages/test_life.py

bench: $(VENV)/ready ebpf ## the figures of the README, one JSON line each (ARGS="--quick", "--only NAME")
	@$(SETUP) programs tests
	@$(PY) -m tests.bench $(ARGS)

bench-readme: ## write the last figures (build/bench.jsonl) into the README's table
	@$(PY) -m tests.bench.readme

coverage: $(VENV)/ready ## write agent/docs/coverage.md: which tier sees which rules and techniques
	@$(PY) -m vedette_dev.coverage_page

fuzz: $(VENV)/ready ## feed the parsers hostile bytes (ARGS="--seconds 600", "--only NAME")
	@$(PY) -c 'import atheris' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r tests/fuzz/requirements.txt || echo "no atheris for this Python: mutating without coverage"
	@$(PY) -m tests.fuzz $(ARGS)

powercut: $(VENV)/ready ## cut the power at every write of the stores, in every way it may go (ARGS="--only NAME", "--seed N")
	@$(PY) -m tests.powercut $(ARGS)

torture: $(VENV)/ready ## end the agent's processes by kill -9 at 300 random moments (ARGS="--rounds N", "--only NAME")
	@$(PY) -m tests.powercut.torture $(ARGS)

$(LOCK)/bin/pip-compile:
	@echo "making $(LOCK) with pip-tools" && $(PYTHON) -m venv $(LOCK)
	@$(LOCK)/bin/python -m pip install --quiet --disable-pip-version-check 'pip-tools>=7.5'

lock: $(LOCK)/bin/pip-compile ## write requirements.txt anew: newest allowed versions, with hashes
	@echo "resolving" && $(LOCK)/bin/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
		--extra operator --extra hsm --extra dev --no-header --no-annotate --no-emit-index-url \
		--no-emit-trusted-host --no-emit-find-links --output-file requirements.txt pyproject.toml

clean: ## remove what the targets made, the development identity included
	@rm -rf $(VENV) .dev build dist $(EBPF)/*.bpf.o .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find agent tests -name __pycache__ -prune -exec rm -rf {} +
