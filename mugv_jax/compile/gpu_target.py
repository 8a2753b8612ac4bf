# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Descriptions of NVIDIA GPUs, for compiling ahead of time on machines without them.

XLA's compiler for CUDA, ptxas included, needs no GPU if it has a description of the chip. Without
a GPU it cannot search for the fastest algorithms: memory and register counts are those of the real
program, but times are unknown. The compiler is part of `jax[cuda13]`.
"""

import importlib.util
import os

import jax
from jax.experimental import topologies

# XLA's description of a chip (its message GpuTargetConfigProto); both have capability 9.0.
_HOPPER = """
gpu_device_info {{
  cuda_compute_capability {{ major: 9 }}
  core_count: 132
  fpus_per_core: 128
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  clock_rate_ghz: 1.98
  l2_cache_size: {l2_cache}
  memory_bandwidth: {bandwidth}
  device_memory_size: {memory}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 12 }}
device_description_str: "{kind}"
"""
# Memory, bandwidth and name are from the data sheets (SXM), the size of L2 from the driver.
GPUS = {
    "h100": {
        "kind": "NVIDIA H100 80GB HBM3",
        "memory": 80 * 2**30,
        "bandwidth": 3350 * 10**9,
        "l2_cache": 50 * 2**20,
    },
    "h200": {
        "kind": "NVIDIA H200",
        "memory": 141 * 10**9,
        "bandwidth": 4800 * 10**9,
        "l2_cache": 60 * 2**20,
    },
}


def is_gpu(topology: str) -> bool:
    """Whether a topology names one of these GPUs."""
    return topology.partition(":")[0] in GPUS


def memory_bytes(topology: str) -> int:
    """Bytes of memory of one chip of a topology."""
    return GPUS[topology.partition(":")[0]]["memory"]


def gpu_devices(topology: str) -> list[jax.Device]:
    """Devices of one machine with several GPUs, such as "h200:8".

    Raises:
        ValueError: no compiler for CUDA, an unknown chip, or a number below 1.
    """
    name, _, count = topology.partition(":")
    if name not in GPUS or not count.isdecimal() or not 0 < int(count[:6]) <= 1024:
        raise ValueError(
            f"topology {topology!r}: write a machine's GPUs as h200:8; known are {', '.join(GPUS)}."
        )
    if importlib.util.find_spec("jax_cuda13_plugin") is None:
        raise ValueError(
            "compiling for a GPU needs jax's compiler for CUDA: pip install 'mugv_jax[cuda13]'."
        )
    # Without a driver, jax's check of the installed CUDA libraries fails and hides the compiler.
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")
    described = topologies.get_topology_desc(
        platform="cuda",
        topology_name="",
        topology=f"1x1x{count}",  # slices x hosts x devices of a host
        target_config=_HOPPER.format(**GPUS[name]),
    )
    return list(described.devices)
