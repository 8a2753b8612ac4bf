# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of reward models in local files, as trees of numpy arrays."""

from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

from mugv_jax.files import user_path
from mugv_jax.weights.check import require_same
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import load, read_config

IMAGE, TEXT, SCALE = "clip_vision", "clip_text", "logit_scale"
WIDTHS = (1024, 128, 64, 16, 1)  # outputs of the aesthetic predictor's layers
PLACES = (0, 2, 4, 6, 7)  # their numbers in the published `layers`; dropout has numbers too


def read_encoders(folder: str, *kinds: str) -> dict[str, Any]:
    """Config of each encoder in a folder, by its kind, without reading the weights.

    Raises:
        ValueError: the folder lacks one of them; the message says which.
    """
    configs = {}
    for kind in kinds:
        try:
            _, configs[kind] = read_config(user_path(folder), kind)
        except ValueError as error:
            raise ValueError(
                f"folder={folder!r} must hold CLIP as transformers saves it (config.json and "
                f"model.safetensors with {' and '.join(kinds)}), but has no usable {kind}: {error}"
            ) from error
    return configs


def load_encoder(folder: str, kind: str, dtype: DTypeLike) -> Any:
    """Variables of one encoder, in host memory."""
    _, variables = load(user_path(folder), kind, dtype=dtype)
    return jax.tree.map(np.asarray, variables)


def read_logit_scale(folder: str) -> np.ndarray:
    """The factor of PickScore before exp, float32 ().

    Raises:
        ValueError: the folder lacks it.
    """
    with open_source(user_path(folder)) as source:
        if SCALE not in source.specs or source.specs[SCALE].shape:
            raise ValueError(
                f"folder={folder!r} has no number {SCALE}, which a file of both encoders "
                "(CLIPModel of transformers) holds: use that file, not one of a single encoder."
            )
        return np.array(source.read(SCALE), np.float32)


def read_aesthetic(path: str, features: int) -> list[dict[str, np.ndarray]]:
    """Layers of LAION's aesthetic predictor, float32, from its `.pth` or as `.safetensors`.

    features: width of the summaries that it reads, 768 for CLIP ViT-L/14.

    Raises:
        ValueError: no such file, or other tensors; the message lists all differences.
    """
    inputs = (features, *WIDTHS)
    expected = {}
    for place, before, after in zip(PLACES, inputs, WIDTHS, strict=False):
        expected[f"layers.{place}.weight"] = (after, before)
        expected[f"layers.{place}.bias"] = (after,)
    with open_source(user_path(path)) as source:
        complaint = (
            f"head={path!r} must be LAION's aesthetic predictor of linear layers (linearMSE) for "
            f"summaries of width {features}"
        )
        require_same(source.shapes, expected, complaint)
        arrays = {name: np.array(source.read(name), np.float32) for name in expected}
    return [
        {"kernel": arrays[f"layers.{i}.weight"].T, "bias": arrays[f"layers.{i}.bias"]}
        for i in PLACES
    ]
