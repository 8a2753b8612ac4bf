# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Programs are compiled once a session, and quickly: they run for milliseconds."""

import jax
import pytest

DEFAULTS = {
    "jax_disable_most_optimizations": False,
    "jax_compilation_cache_dir": None,
    "jax_persistent_cache_min_compile_time_secs": 1.0,
}


@pytest.fixture(scope="package", autouse=True)
def compiled_once(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp().parent / "compiled"
    for name, value in zip(DEFAULTS, (True, str(folder), 0.5), strict=True):
        jax.config.update(name, value)
    yield
    for name, value in DEFAULTS.items():
        jax.config.update(name, value)
