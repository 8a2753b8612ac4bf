# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Rank and alpha of every layer of an adapter, as peft and diffusers state them.

adapter_config.json    peft's `LoraConfig`, beside the tensors
lora_adapter_metadata  the same in the header of a safetensors file of diffusers
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mugv_jax.files import parse_json, read_json

METADATA_KEY = "lora_adapter_metadata"
# Options of peft that make the function other than W + scale B A.
_VARIANTS = (
    "alora_invocation_tokens", "arrow_config", "fan_in_fan_out", "kasa_config",
    "layer_replication", "lora_bias", "modules_to_save", "monteclora_config", "target_parameters",
    "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora",
)  # fmt: skip
# Initialisations that change the weights beneath, which the adapter does not hold.
_CHANGED_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of one adapter.

    rank_pattern, alpha_pattern: regular expression of a module's name -> its own value.
    root_scaled: scale is alpha / sqrt(rank) instead of alpha / rank (arXiv:2312.03732).
    """

    rank: int
    alpha: float
    rank_pattern: Mapping[str, int] = dataclasses.field(default_factory=dict)
    alpha_pattern: Mapping[str, float] = dataclasses.field(default_factory=dict)
    root_scaled: bool = False

    def rank_of(self, module: str) -> int:
        return _matching(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """Factor of the update B A of a module."""
        alpha, rank = _matching(self.alpha_pattern, module, self.alpha), self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.root_scaled else rank)


def read_options(path: Path, stated: Any = None) -> Options:
    """Options of a LoRA adapter.

    stated: the options, if `path` is not their JSON file.

    Raises:
        ValueError: no options of an adapter, or a variant that is no plain LoRA.
    """
    stated = read_json(path) if stated is None else stated
    if not isinstance(stated, dict) or not {"r", "lora_alpha"} <= stated.keys():
        raise ValueError(
            f"{path}: not the configuration of a LoRA adapter, which needs r and lora_alpha."
        )
    try:
        kind = stated.get("peft_type", "LORA")
        options = Options(
            int(stated["r"]),
            float(stated["lora_alpha"]),
            {key: int(rank) for key, rank in (stated.get("rank_pattern") or {}).items()},
            {key: float(alpha) for key, alpha in (stated.get("alpha_pattern") or {}).items()},
            bool(stated.get("use_rslora")),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not the configuration of a LoRA adapter ({error!r}).") from error
    variants = [name for name in _VARIANTS if stated.get(name)]
    if stated.get("bias", "none") != "none":
        variants.append("bias")
    if str(stated.get("init_lora_weights")).lower().startswith(_CHANGED_BASE):
        variants.append("init_lora_weights")
    if kind != "LORA" or variants:
        what = ", ".join(f"{name}={stated[name]!r}" for name in variants) or f"peft_type={kind!r}"
        raise ValueError(
            f"{path}: {what} is not supported: only a plain LoRA is, W + (alpha / rank) B A."
        )
    for name, alpha in (("lora_alpha", options.alpha), *options.alpha_pattern.items()):
        if not 0 < alpha < math.inf:
            raise ValueError(f"{path}: {name}: alpha={alpha} must be a positive number.")
    if min((options.rank, *options.rank_pattern.values())) < 1:
        raise ValueError(f"{path}: rank={options.rank} must be at least 1, for all layers.")
    return options


def options_in_header(path: Path, metadata: Mapping[str, str], prefix: str) -> Options | None:
    """Options of the adapter for the layers with this prefix; None if the header has none.

    Raises:
        ValueError: see `read_options`.
    """
    if METADATA_KEY not in metadata:
        return None
    try:
        every = parse_json(metadata[METADATA_KEY], METADATA_KEY)
        stated = {
            name.rpartition(".")[2]: value
            for name, value in every.items()
            if name.rpartition(".")[0] in ("", prefix.removesuffix("."))
        }
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {METADATA_KEY} in its header is damaged ({error}).") from error
    return read_options(path, stated) if stated else None


def _matching(pattern: Mapping[str, Any], module: str, otherwise: Any) -> Any:
    """Value of the first expression that matches the end of a module's name."""
    return next(
        (each for key, each in pattern.items() if re.match(rf"(.*\.)?({key})$", module)), otherwise
    )
