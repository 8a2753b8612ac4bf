# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of pipelines as callers have them: options, prompts, seeds, pictures and frames."""

import difflib
import operator
import os
import secrets
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from mugv_jax.bounds import MAX_SEED
from mugv_jax.files import check_text

NEAREST = 0.6  # similarity of names from which one is offered in place of the other


def check_names(given: Iterable[str], known: Collection[str], what: str) -> None:
    """Raise a ValueError for names that are not known, with the nearest and all that are.

    what: what takes the names, for the message.
    """
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=NEAREST)
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"{what} has no option {name!r}{guess}: it has {', '.join(known)}.")


def seed_of(generator: Any) -> int:
    """Seed of a generator: a whole number, a key of jax, or an object such as torch.Generator.

    Of `jax.random.key(n)` and `torch.Generator().manual_seed(n)` it is n, if that has 32 bits. A
    generator is only asked for its seed: unlike in PyTorch, using it twice gives the same twice.

    Raises:
        ValueError: something else.
    """
    if hasattr(generator, "initial_seed"):
        return int(generator.initial_seed()) & MAX_SEED
    if isinstance(generator, jax.Array) and jnp.issubdtype(generator.dtype, jax.dtypes.prng_key):
        generator = jax.random.key_data(generator)
    array = np.asarray(generator)
    if array.shape == (2,) and array.dtype == np.uint32:  # the words of a key
        return int(array[0] ^ array[1])
    try:
        return operator.index(generator)
    except TypeError:
        raise ValueError(
            f"generator {generator!r} must be a whole number, a key of jax.random, or an object "
            "with initial_seed(), such as torch.Generator."
        ) from None


def seeds_from(generator: Any, seed: Any, count: int) -> list[int]:
    """Seeds of `count` videos from whichever of both is given; drawn at random if neither is.

    A single seed s gives s, s + 1, ...; a list has one for each video.

    Raises:
        ValueError: both are given, or a list of another length.
    """
    if generator is not None and seed is not None:
        raise ValueError("generator and seed both choose the noise: give one of them.")
    chosen = seed if generator is None else generator
    if chosen is None:
        return [secrets.randbelow(MAX_SEED + 1) for _ in range(count)]
    if isinstance(chosen, list | tuple):
        if len(chosen) != count:
            raise ValueError(
                f"{len(chosen)} seeds are given for {count} videos: give one for each."
            )
        return [seed_of(each) for each in chosen]
    first = seed_of(chosen)
    return [(first + i) & MAX_SEED for i in range(count)]


def pixels_of(source: Any) -> Any:
    """A picture or video as pipelines read it: uint8, channels last; paths and PIL images as is.

    Arrays and tensors of floats count as [0, 1], those below 0 as [-1, 1]; tensors of PyTorch have
    channels before rows. A list of pictures is a video.

    Raises:
        ValueError: something else.
    """
    if source is None or isinstance(source, str | os.PathLike | Image.Image):
        return source
    if isinstance(source, list | tuple):
        return np.stack([_array(each) for each in source])
    return _array(source)


def _array(source: Any) -> np.ndarray:
    if isinstance(source, Image.Image):
        return np.asarray(source.convert("RGB"))
    if hasattr(source, "detach"):  # a tensor of PyTorch
        source = np.moveaxis(source.detach().cpu().float().numpy(), -3, -1)
    array = np.asarray(source)
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f" or array.ndim < 3:
        raise ValueError(
            f"pictures must be paths, PIL images, or arrays of uint8 or of floats in [0, 1], not "
            f"{type(source).__name__} of {array.dtype} {array.shape}."
        )
    if array.min(initial=0) < 0:
        array = (array + 1) / 2
    return (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8)


def same_text(name: str, value: str | Sequence[str] | None) -> str | None:
    """The one text of all prompts, from a text or a list of equal ones.

    Raises:
        ValueError: texts that differ.
    """
    if value is None or isinstance(value, str):
        return value
    if len(set(value)) != 1:
        raise ValueError(f"{name} must be the same for all prompts of a call.")
    return value[0]


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise a ValueError for no prompts, or an empty one."""
    if not prompts:
        raise ValueError("no prompt: give at least one.")
    for number, prompt in enumerate(prompts, start=1):
        if not prompt.strip():
            raise ValueError(f"prompt {number} is empty: describe the video in words.")
        check_text(f"prompt {number}", prompt)


def seeds_of(seed: int | Sequence[int], prompts: int) -> list[int]:
    """Seeds of all prompts: `seed` + i for prompt number i (from 0), unless each has its own.

    Raises:
        ValueError: a seed out of range, or another number of seeds than of prompts.
    """
    if not isinstance(seed, Sequence):
        _check_seed(seed, MAX_SEED + 1 - prompts)  # the last prompt's is the largest
        return [seed + i for i in range(prompts)]
    seeds = per_prompt("seed", list(seed), prompts)
    for each in seeds:
        _check_seed(each, MAX_SEED)
    return seeds


def _check_seed(seed: int, largest: int) -> None:
    if not 0 <= seed <= largest:
        raise ValueError(f"seed={seed} must lie in 0 to {largest}.")


def per_prompt(name: str, value: Any, prompts: int) -> list[Any]:
    """Value of each prompt: the entries of a list or tuple, or `value` for all prompts.

    Raises:
        ValueError: a list of another length.
    """
    if not isinstance(value, list | tuple):
        return [value] * prompts
    if len(value) != prompts:
        raise ValueError(
            f"{name} has {len(value)} entries, but the number of prompts is {prompts}: give one "
            "for all prompts, or a list with one for each."
        )
    return list(value)
