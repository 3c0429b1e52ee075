# Commands of this repository. Each runs from a fresh clone; nothing is installed outside VENV.
#
#   make demo      install, then build and score the simulated demo organism
#   make test      install, then run the tests
#   make lint      ruff, mypy and the import contracts
#   make install   only install
#   make clean     delete what these commands made
#
# To change a default:
#   make install TORCH=cuda                   torch with CUDA, from the package index
#   make install TORCH=none                   no torch: everything but training and encoders
#   make install PYTHON=/path/to/python3.12   another Python (3.11, 3.12 or 3.13)

comma := ,
VENV ?= .venv
DEMO ?= demo
PYTHON ?=
TORCH ?= cpu
PYTEST_ARGS ?=

BIN := $(VENV)/bin
LOG := $(VENV)/install.log
# The aligner for relatives' genomes has no wheels: it is left out where no C compiler is.
EXTRAS := demo,panels,single-cell,pictures,dashboard,api,causal,dev$(if $(shell command -v cc),$(comma)relatives)

ifeq ($(filter cpu cuda none,$(TORCH)),)
  $(error TORCH is '$(TORCH)'; it must be cpu, cuda or none)
endif

# The local version "+cpu" exists only for builds without CUDA, so this can never pull
# the CUDA libraries (several GB) that PyPI's torch for Linux asks for.
TORCH_VERSION ?= 2.13.0
CPU_TORCH := torch==$(TORCH_VERSION)+cpu
# "===" compares the text, so that the "+cpu" build does not count as this one.
CUDA_TORCH := torch===$(TORCH_VERSION)
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

PYTHON_CHECK := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

.PHONY: demo test lint install clean help
.DELETE_ON_ERROR:

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

demo: install
	$(BIN)/cisgraph demo --workspace $(DEMO)/workspace

test: install
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: $(VENV)/installed-torch-$(TORCH)

clean:
	rm -rf $(VENV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. A path given as PYTHON must pass; otherwise the first that passes on
# PATH is taken. The whole of PATH is searched, because a pyenv shim that comes first
# may exist and not run.
$(VENV)/made:
	@set -eu; \
	if [ -x $(BIN)/python ] && $(BIN)/python -c '$(PYTHON_CHECK)' 2>/dev/null; then \
	  touch $@; exit 0; \
	fi; \
	found=; \
	if [ -n '$(PYTHON)' ]; then \
	  if '$(PYTHON)' -c '$(PYTHON_CHECK)' >/dev/null 2>&1; then found='$(PYTHON)'; fi; \
	else \
	  IFS=:; \
	  for name in python3.13 python3.12 python3.11 python3; do \
	    for folder in $$PATH; do \
	      candidate=$$folder/$$name; \
	      if [ -z "$$found" ] && [ -x "$$candidate" ] \
	         && "$$candidate" -c '$(PYTHON_CHECK)' >/dev/null 2>&1; then \
	        found=$$candidate; \
	      fi; \
	    done; \
	  done; \
	  unset IFS; \
	fi; \
	if [ -z "$$found" ]; then \
	  echo 'make: no usable Python$(if $(PYTHON), at $(PYTHON)).' >&2; \
	  echo 'cisgraph needs Python 3.11, 3.12 or 3.13 with its venv module.' >&2; \
	  echo 'On Debian or Ubuntu: sudo apt install python3 python3-venv' >&2; \
	  echo 'Or name one:         make install PYTHON=/path/to/python3.12' >&2; \
	  exit 1; \
	fi; \
	echo "making $(VENV) with $$found"; \
	"$$found" -m venv --clear $(VENV); \
	touch $@

# torch comes first and alone, so that what follows finds it there and asks for no other.
# CPU: first where pip is set to look (a local folder, a mirror), then on PyTorch's own
# index, with a short time limit, because that index is not reachable everywhere.
$(VENV)/installed-torch-$(TORCH): $(VENV)/made pyproject.toml constraints.txt
	@set -eu; \
	install() { \
	  $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --log $(LOG) \
	    install --progress-bar off "$$@"; \
	}; \
	give_up() { \
	  echo "make: $$1: pip says above why, and in full in $(LOG)" >&2; exit 1; \
	}; \
	rm -f $(VENV)/installed-torch-* $(LOG); \
	extras='$(EXTRAS)'; \
	case '$(TORCH)' in \
	  none) ;; \
	  cuda) \
	    echo 'installing $(CUDA_TORCH) with its CUDA libraries (several GB)'; \
	    install -c constraints.txt '$(CUDA_TORCH)' || give_up 'torch could not be installed'; \
	    extras="$$extras,models" ;; \
	  cpu) \
	    echo 'installing $(CPU_TORCH)'; \
	    if install --no-deps '$(CPU_TORCH)' 2>/dev/null \
	       || install --no-deps --retries 1 --timeout 15 \
	            --index-url '$(TORCH_CPU_INDEX)' '$(CPU_TORCH)' 2>/dev/null; then \
	      extras="$$extras,models"; \
	    fi ;; \
	esac; \
	echo "installing cisgraph[$$extras] (a minute or two)"; \
	install -c constraints.txt -e ".[$$extras]" || give_up 'cisgraph could not be installed'; \
	touch $@; \
	case '$(TORCH)'"$$extras" in cpu*,models) ;; cpu*) \
	  echo 'No CPU build of torch $(TORCH_VERSION) could be had for this Python: the models extra'; \
	  echo 'is left out. The registry, the graph and the scorer do not need it; see'; \
	  echo 'docs/install.md.' ;; \
	esac
