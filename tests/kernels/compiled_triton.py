# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Compiles the Triton kernels to machine code for Hopper, without a GPU, at the width of the 10B.

Prints a JSON list of (kernel, bytes of local memory per thread), in the order of the calls; local
memory holds spilled registers. A separate program, because a stand-in replaces jax-triton, which
needs jax's CUDA plugin; it compiles with the same options.
"""

import json
import subprocess
import sys
import tempfile
import types

import jax
import jax.numpy as jnp
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mugv_jax.kernels import select
from mugv_jax.kernels.modulate import Modulation
from tests.kernels import float64

HOPPER = 90
WIDTH, HEAD = 3456, 72
TYPES = {"float32": "*fp32", "bfloat16": "*bf16", "int32": "*i32"}
compiled = []  # (name, cubin) of every kernel that was called


def triton_call(
    *arrays, kernel, out_type, grid, num_warps, compute_capability, backend_options, **constants
):
    """Compile `kernel` for these arrays, and return zeros."""
    del grid
    pointers = [*arrays, *out_type]
    signature = {name: TYPES[str(x.dtype)] for name, x in zip(kernel.arg_names, pointers)}
    source = ASTSource(
        kernel,
        signature=signature | dict.fromkeys(constants, "constexpr"),
        constexprs=constants,
        attrs={(i,): [["tt.divisibility", 16]] for i in range(len(pointers))},
    )
    target = GPUTarget("cuda", compute_capability, warp_size=32)
    # The assembler that comes with Triton may read no newer PTX than its own.
    options = {"num_warps": num_warps} | backend_options | {"ptx_version": None}
    made = triton.compile(source, target=target, options=options)
    compiled.append((kernel.__name__, made.asm["cubin"]))
    return [jnp.zeros(x.shape, x.dtype) for x in out_type]


def local_bytes(cubin):
    with tempfile.NamedTemporaryFile() as file:
        file.write(cubin)
        file.flush()
        command = [triton.knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = dict(word.split(":", 1) for word in printed.split() if ":" in word)
    return int(used["LOCAL"]) + int(used["STACK"])


def call_with_gradient(name, given):
    def forward(given):
        return getattr(Modulation("triton"), name)(**given)

    def backward(given, d_out):
        return jax.vjp(forward, given)[1](d_out)

    d_out = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(getattr(Modulation("xla"), name), **given),
    )
    jax.eval_shape(backward, given, d_out)


def main():
    sys.modules["jax_triton"] = types.SimpleNamespace(
        triton_call=triton_call, __version_info__=(0, 4, 0)
    )
    select.platform, select.compute_capability = lambda: "gpu", lambda: HOPPER
    for name, arguments in (
        ("norm_modulate", "x shift scale group"),
        ("gate_residual", "x update bias gate group"),
        ("gate_residual_norm_modulate", "x update bias gate shift scale group"),
    ):
        call_with_gradient(name, float64.arguments(arguments, (1, 50, WIDTH, 4), jnp.bfloat16))
    call_with_gradient("norm_rotate", float64.heads((1, 50, WIDTH // HEAD, HEAD), jnp.bfloat16))
    json.dump([(name, local_bytes(cubin)) for name, cubin in compiled], sys.stdout)


if __name__ == "__main__":
    main()
