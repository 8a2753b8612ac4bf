# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Adapters as callers name them: one or several files, folders and training runs, with scales.

W + scale_1 (alpha_1 / rank_1) A_1 B_1 + scale_2 (alpha_2 / rank_2) A_2 B_2 + ...
"""

import math
import numbers
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mugv_jax.files import user_path
from mugv_jax.weights.adapter_files import open_file
from mugv_jax.weights.check import check, identify
from mugv_jax.weights.lora import Adapter, adapted, combined
from mugv_jax.weights.orbax_files import is_training, trained_adapter
from mugv_jax.weights.parameter_source import ParameterSource, narrower_dtypes
from mugv_jax.weights.registry import Model
from mugv_jax.weights.sources import Source

AdapterPath = str | os.PathLike[str]
ScaledAdapter = tuple[AdapterPath, float]
Adapters = AdapterPath | ScaledAdapter | Sequence[AdapterPath | ScaledAdapter]


def listed(lora: Adapters | None) -> list[tuple[Path, float]]:
    """(path, scale) of every adapter; a path alone has the scale 1.

    Raises:
        ValueError: something else than paths and pairs, or a scale that is not finite.
    """
    if lora is None:
        return []
    return [_pair(each) for each in _elements(lora)]


def _elements(lora: Any) -> list[Any]:
    if isinstance(lora, str | os.PathLike):
        return [lora]
    alone = isinstance(lora, tuple) and len(lora) == 2 and isinstance(lora[1], numbers.Real)
    return [lora] if alone else list(lora)


def _pair(element: Any) -> tuple[Path, float]:
    pair = (element, 1.0) if isinstance(element, str | os.PathLike) else element
    try:
        path, scale = pair
        path, scale = user_path(path), float(scale)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"lora {element!r} must be a path, or a pair of a path and a scale."
        ) from error
    require_finite(scale, f"scale of {path}")
    return path, scale


def require_finite(scale: float, what: str = "scale") -> None:
    """Raises a ValueError for a scale that is not a finite number."""
    if not math.isfinite(scale):
        raise ValueError(f"{what}={scale} must be a finite number: 1 for the update as trained.")


def require_alpha(alpha: float | None) -> None:
    """Raises a ValueError for an alpha that is not a positive number."""
    if alpha is not None and not 0 < alpha < math.inf:
        raise ValueError(f"alpha={alpha} must be a positive number.")


def open_adapter(
    path: AdapterPath,
    model: Model,
    config: Any,
    *,
    alpha: float | None = None,
    among_others: bool = False,
) -> Adapter:
    """Opens the adapter at `path` for a model with these sizes.

    path: a file or folder (see `adapter_files.py`), or a training run with LoRA.
    alpha: alpha of the updates, if the file does not state it.
    among_others: whether `alpha` may be of another adapter, and a stated one then holds.

    Raises:
        ValueError: no adapter, a variant other than plain LoRA, an adapter of another model, or an
            alpha that is missing, or given although the file states it.
    """
    require_alpha(alpha)
    path = user_path(path)
    if not (path.is_dir() and is_training(path)):
        return open_file(path, model, config, alpha=alpha, among_others=among_others)
    if alpha is not None and not among_others:
        raise ValueError(f"{path}: alpha={alpha} is given, but the run tells it; leave it out.")
    kind, trained, adapter = trained_adapter(path, ema=False)
    if (kind, trained) != (model.kind, config):
        raise ValueError(
            f"{path}: was trained on {kind} with {trained}, and does not fit {model.kind} with "
            f"{config}."
        )
    return adapter


def open_adapters(
    lora: Adapters, model: Model, config: Any, *, alpha: float | None = None
) -> Adapter:
    """All adapters in `lora` as one, which also holds their scales; raises as `open_adapter`.

    alpha: alpha of those that do not state it.
    """
    pairs = listed(lora)
    if not pairs:
        raise ValueError("lora is an empty list: name an adapter, or give None.")
    several = len(pairs) > 1
    return combined(
        [
            (open_adapter(path, model, config, alpha=alpha, among_others=several), scale)
            for path, scale in pairs
        ]
    )


def with_adapter(
    source: Source, lora: Adapters, kind: str | None, *, alpha: float | None
) -> Source:
    """`source` with the adapters in `lora` merged in; see `open_adapters`."""
    model, config = identify(source, kind)
    parameters = check(source, model, config)
    dtypes = narrower_dtypes(source, parameters, model.table(config))
    parameters = adapted(parameters, open_adapters(lora, model, config, alpha=alpha))
    merged = ParameterSource(source.path, source.format, model.kind, config, parameters, dtypes)
    merged.parts = (source,)
    return merged
