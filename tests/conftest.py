# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Every test runs on eight host devices, with strict dtypes and ranks and checked array shapes."""

import os

os.environ["XLA_FLAGS"] = " ".join(
    (os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8")
).strip()
os.environ["JAX_PLATFORMS"] = "cpu"
# Tests compile for seconds what runs for milliseconds; processes that they start inherit it.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import jax
import jaxtyping

import tests.typecheck  # noqa: F401 - the hook below looks it up by name

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("mugv_jax", "tests.typecheck.checked")
