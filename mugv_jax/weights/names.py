# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Names of other programs for the tensors of a known model, replaced by the published names.

    blocks.0._orig_mod.attn.qkv.weight    wrappers of torch, anywhere in a name
    model.diffusion_model.blocks.0...     one prefix that all names share
    shadow_params.0, shadow_params.1 ...  the list of an EMA, in the order of the model's parameters
    encoder.embed_tokens.weight           T5's embedding, where `shared.weight` is missing

Nothing is guessed: names are replaced only if a known model recognises all of the result.
"""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mugv_jax.weights.check import fits, ordered_names, shared_prefixes
from mugv_jax.weights.parameter_source import ParameterSource
from mugv_jax.weights.registry import MODELS
from mugv_jax.weights.scaled_fp8 import unscaled
from mugv_jax.weights.sources import Source
from mugv_jax.weights.table import Shapes
from mugv_jax.weights.torch_files import SHADOW

# Modules by which torch.compile, FSDP and activation checkpointing wrap another module.
WRAPPING = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# Number of updates that torch's `AveragedModel` counts beside the weights.
COUNTER = "n_averaged"

log = logging.getLogger(__name__)


class Renamed(Source):
    """`source` under other names.

    names: name -> name in `source`; tensors that are not listed are left out.
    """

    def __init__(self, source: Source, names: Mapping[str, str]):
        self.path, self.format, self.config = source.path, source.format, source.config
        self.parts, self._source, self._names = (source,), source, names
        self.specs = {name: source.specs[old] for name, old in names.items()}

    def read(self, name: str) -> np.ndarray:
        return self._source.read(self._names[name])


def with_known_names(source: Source) -> Source:
    """`source` under the published names of a known model, with 8-bit weights scaled.

    Without a model that recognises the names they stay as they are, and `identify` refuses them.

    Raises:
        ValueError: a list of EMA weights that fits no model, or scales that cannot be applied.
    """
    if isinstance(source, ParameterSource):
        return source
    source = unscaled(source)
    names = _unwrapped({name: name for name in source.specs})
    if all(name.startswith(f"{SHADOW}.") for name in names):
        return Renamed(source, _from_list(source, names))
    for prefix in shared_prefixes(names):
        found = _with_embedding({name.removeprefix(prefix): old for name, old in names.items()})
        shapes = {name: source.specs[old].shape for name, old in found.items()}
        if any(fits(model, shapes) for model in MODELS.values()):
            if prefix:
                _log_prefix(source.path, prefix)
            names = found
            break
    return source if names == {name: name for name in source.specs} else Renamed(source, names)


def without_wrapping(name: str) -> str:
    """A name without the modules of `WRAPPING`."""
    return ".".join(part for part in name.split(".") if part not in WRAPPING)


@functools.lru_cache(maxsize=64)  # a run opens its files several times, and says this once
def _log_prefix(path: Path, prefix: str) -> None:
    log.info("%s: all names begin with %s, which is left out.", path, prefix)


def _unwrapped(names: Mapping[str, str]) -> dict[str, str]:
    """Names without wrapping modules, unless two of them would become the same."""
    out = {without_wrapping(name): old for name, old in names.items()}
    out = out if len(out) == len(names) else dict(names)
    if len(out) > 1 and all(name.startswith("module.") for name in out if name != COUNTER):
        out.pop(COUNTER, None)
    return out


def _with_embedding(names: Mapping[str, str]) -> dict[str, str]:
    """Names in which a tensor that has a twin stands for it where that is missing."""
    out = dict(names)
    for model in MODELS.values():
        for twin, name in model.twins.items():
            if twin in out and name not in out:
                out[name] = out.pop(twin)
    return out


def _from_list(source: Source, names: Mapping[str, str]) -> dict[str, str]:
    """Published names for a list of tensors, from the order of a model's parameters."""
    numbered = sorted(names, key=lambda name: int(name.rpartition(".")[2]))
    shapes: Shapes = {name: source.specs[names[name]].shape for name in numbered}
    found = [(kind, each) for kind in MODELS if (each := ordered_names(kind, [*shapes.values()]))]
    if len(found) != 1:
        known = ", ".join(kind for kind, model in MODELS.items() if model.in_order)
        raise ValueError(
            f"{source.path}: {SHADOW} is a list of {len(shapes)} tensors without names, and their "
            f"shapes are those of the parameters of {len(found) or 'none'} of {known} in order. "
            "Save the averaged model itself: its state_dict, or `save_pretrained` of the EMA."
        )
    kind, ordered = found[0]
    log.info("%s: %s is matched with the %d parameters of %s.", source.path, SHADOW,
             len(ordered), kind)  # fmt: skip
    return {name: names[old] for name, old in zip(ordered, numbered, strict=True)}
