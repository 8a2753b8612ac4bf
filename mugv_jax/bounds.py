# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Bounds of numbers in configs and options."""

import math

MAX_SEED = 2**32 - 1
# Largest size of every numeric option of the commands, far above what is useful and below what
# overflows or takes hours to refuse. Each option's own rule is checked where it is used.
LARGEST = {
    "aesthetic_score": 10,
    "annotators": 1000,
    "batch": 2**20,
    "candidates": 2**20,
    "captions": 2**30,
    "clips": 10**6,
    "conditioning_fps": 1000,
    "continue_frames": 10**6,
    "count": 2**30,
    "decay": 1,
    "depth": 4096,
    "devices": 2**16,
    "factor": 64,
    "fps": 1000,
    "frames": 10**6,
    "golden_every": 10**6,
    "gpus": 1024,
    "guidance": 1000,
    "guidance_rescale": 1,
    "keep_count": 10**9,
    "keep_days": 10**5,
    "last": 10**6,
    "learning_rate": 100,
    "lease_minutes": 10**5,
    "level": 10**6,
    "lora_alpha": 10**6,
    "lora_scale": 1000,
    "margin": 10**6,
    "max_bad": 2**40,
    "max_frames": 10**6,
    "max_pixels": 10**9,
    "max_steps": 10**6,
    "min_accuracy": 1,
    "noise": 100,
    "overlap": 10**6,
    "per_key": 10**6,
    "per_minute": 10**6,
    "per_prompt": 2**20,
    "pictures": 10**6,
    "pixels": 10**9,
    "probes": 2**24,
    "process": 2**20,
    "processes": 2**20,
    "queue": 10**6,
    "rank": 2**16,
    "reuse_threshold": 10**6,
    "rewrite_timeout": 10**6,
    "search": 10**4,
    "seed": MAX_SEED,
    "shard_count": 2**20,
    "shard_index": 2**20,
    "shards": 10**5,
    "shift": 10**4,
    "sigma": 1,
    "steps": 10**6,
    "strength": 1,
    "tensor_parallel": 1024,
    "text_batch": 10**5,
    "threads": 1024,
    "threshold": 10**6,
    "tolerance": 10**6,
    "upload_mb": 10**5,
    "upscale": 16,
    "vae_tile": 2**16,
    "window": 10**6,
    "workers": 2**20,
}


def require_at_least(bound: int, config: object, *fields: str) -> None:
    """Check that the config's `fields` are None or at least `bound`.

    Raises:
        ValueError: one of them is below it.
    """
    for field in fields:
        value = getattr(config, field)
        if value is not None and value < bound:
            raise ValueError(f"{field}={value} must be at least {bound}.")


def require_sane(name: str, value: object) -> None:
    """Check that a number is finite and at most what LARGEST says.

    Values that are no numbers pass.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    most = LARGEST.get(name, 2**53)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value} must be a finite number, at most {most:,}.")
    if abs(value) > most:
        shown = f"{value:g}" if isinstance(value, float) else _digits(value)
        raise ValueError(f"{name}={shown} is too large: it must be at most {most:,}.")


def require_seed(name: str, seed: int) -> None:
    """Check the seed of a random key.

    Raises:
        ValueError: a seed below 0 or beyond 32 bits.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"{name}={_digits(seed)} must lie in 0 to {MAX_SEED}.")


def require_64_bits(name: str, value: object) -> None:
    """Check that all numbers in a config's value, a tuple or dict included, can be computed with.

    Raises:
        ValueError: a whole number beyond 64 bits, or one that is not finite.
    """
    if isinstance(value, dict):
        for key, item in value.items():
            require_64_bits(f"{name}.{key}", item)
    elif isinstance(value, tuple):
        for item in value:
            require_64_bits(name, item)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name}={_digits(value)} must fit into 64 bits.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}={value} must be a finite number.")


def _digits(value: int) -> str:
    """Text of a whole number; Python refuses to write more than 4300 digits."""
    return str(value) if abs(value) < 10**30 else f"(a number of {value.bit_length()} bits)"
