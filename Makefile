# Two commands set everything up: `make demo` and `make test`. Each makes its own environment.
# `make test-tpu` adds the compiler for TPU (200 MB), and compiles for chips that are not there.

PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test
JOBS ?= auto

.PHONY: demo test test-tpu lint clean

demo: $(DEMO)/installed
	$(DEMO)/bin/mugv-jax generate --random-weights --config configs/mugv_debug.py \
	  --size 128x80 --frames 25 --steps 4 --output outputs/demo.mp4 \
	  "a red paper boat drifts down a rainy street"
	@echo "The video is outputs/demo.mp4. Its weights are random, so the picture is noise."

test: $(TEST)/installed lint
	$(TEST)/bin/python -m pytest -n $(JOBS) --dist worksteal

test-tpu: $(TEST)/installed
	$(TEST)/bin/python -m pip install --quiet --editable '.[test,tpu]'
	$(TEST)/bin/python -m pytest -n $(JOBS) --dist worksteal tests/kernels/test_tpu_compile.py \
	  tests/scaling/test_compile.py tests/scaling/test_compile_tpu.py tests/commands/test_compile.py

lint: $(TEST)/installed
	PATH="$(CURDIR)/$(TEST)/bin:$$PATH" $(TEST)/bin/pre-commit run --all-files

$(DEMO)/installed: pyproject.toml
	$(call environment,$(DEMO),.)

$(TEST)/installed: pyproject.toml
	$(call environment,$(TEST),.[test])

# environment(folder, what to install)
define environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 1; }
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install --quiet --upgrade pip
$(1)/bin/python -m pip install --quiet --editable '$(2)'
@touch $@
endef

clean:
	rm -rf $(DEMO) $(TEST) outputs
