# Two commands set everything up: `make demo` and `make test`. Each makes its own environment.
# `make test-tpu` adds the compiler for TPU (200 MB), and compiles for chips that are not there.
# `make test-wheel` builds the package and uses it in a fresh environment and an empty folder.

PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test
JOBS ?= auto

.PHONY: demo test test-tpu test-wheel lint clean

demo: $(DEMO)/installed
	$(call clip,demo_text,"a red star moves left")
	$(call clip,demo_picture,--image mugv_jax/assets/demo/picture.png "a yellow box moves up")

test: $(TEST)/installed lint
	$(TEST)/bin/python -m pytest -n $(JOBS) --dist worksteal

test-tpu: $(TEST)/installed
	$(TEST)/bin/python -m pip install --quiet --editable '.[test,tpu]'
	$(TEST)/bin/python -m pytest -n $(JOBS) --dist worksteal tests/kernels/test_tpu_compile.py \
	  tests/compile/test_steps.py tests/compile/test_compile_tpu.py tests/commands/test_compile.py

test-wheel: $(TEST)/installed
	$(TEST)/bin/python tools/check_wheel.py

lint: $(TEST)/installed
	PATH="$(CURDIR)/$(TEST)/bin:$$PATH" $(TEST)/bin/pre-commit run --all-files

# clip(name in outputs/, arguments of generate)
define clip
@begun=$$(date +%s) && \
$(DEMO)/bin/mugv-jax generate --dit few_steps --upscale 4 --overwrite --output outputs/$(1).mp4 \
  --contact-sheet outputs/$(1).png $(2) && \
echo "$$(($$(date +%s) - begun)) s for outputs/$(1).mp4; its frames side by side: outputs/$(1).png"
endef

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
