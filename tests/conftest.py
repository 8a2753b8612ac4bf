# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of all tests: eight host devices, strict dtypes and ranks, checked array shapes.

Programs of the tests compile for seconds and run for milliseconds. Compilation is therefore made
cheap, and slow programs are compiled once per session. Processes that tests start inherit this.
"""

import gc
import os
import sys
from importlib.machinery import PathFinder
from importlib.metadata import version
from pathlib import Path

os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        "--xla_force_host_platform_device_count=8",
        # These emitters take half of the compiler's time. Later versions have no others.
        "--xla_cpu_use_fusion_emitters=false" if version("jaxlib") < "0.11" else "",
    )
).strip()
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import jax
import jaxtyping
import pytest
from jax.experimental.compilation_cache import compilation_cache

import tests.typecheck

MOST_MAPS = 40_000
KEPT_PROGRAMS_SECONDS = 0.3  # compile time; keeping a faster one costs more than it saves

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.jaxtyped = tests.typecheck.decorate_outer(jaxtyping.jaxtyped)  # the hook applies it
jaxtyping.install_import_hook("mugv_jax", "tests.typecheck.checked")


class UncheckedKernels:
    """Imports the Triton kernels without type checks: Triton parses the source of the functions."""

    @staticmethod
    def find_spec(name, path, target=None):
        if name == "mugv_jax.kernels.modulate_triton_kernels":
            return PathFinder.find_spec(name, path, target)
        return None


sys.meta_path.insert(0, UncheckedKernels)
# Tracing makes many long-lived objects; default garbage collection takes a sixth of its time.
gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """Folder of programs that the processes of this session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "compiled"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JAX_COMPILATION_CACHE_DIR", str(folder))
        environment.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", str(KEPT_PROGRAMS_SECONDS))
        keep_compiled_in(folder)
        yield folder


@pytest.fixture(autouse=True)
def compiled_once(compiled):
    """Restores the cache's settings after every test."""
    yield
    if jax.config.jax_compilation_cache_dir != str(compiled):
        compilation_cache.reset_cache()  # else the cache stays in its first folder
    keep_compiled_in(compiled)


@pytest.fixture(autouse=True, scope="module")
def bounded_maps():
    """Drops compiled programs before a process has as many memory maps as Linux allows, 65,530.

    Beyond that no thread can be started, and FFmpeg's and others' fail.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


def keep_compiled_in(folder):
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", KEPT_PROGRAMS_SECONDS)


@pytest.fixture
def shown(monkeypatch, caplog):
    """Tasks whose progress was shown to the end: a function that returns their names."""
    from mugv_jax import progress  # after the import hook

    monkeypatch.setattr(progress.settings, "records", True)
    caplog.set_level("INFO", "mugv_jax.progress")

    def tasks():
        found = [getattr(record, "progress", None) for record in caplog.records]
        return [each["task"] for each in found if each and each["done"] == each["total"]]

    return tasks
