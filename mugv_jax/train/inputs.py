# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Inputs of a run from files: initial weights, and the text in place of a dropped caption."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.data.empty_text import find_empty_text, read_empty_text
from mugv_jax.data.samples import EMPTY_TEXT
from mugv_jax.data.serve.client import fetch_empty_text
from mugv_jax.data.serve.protocol import is_served
from mugv_jax.files import user_path
from mugv_jax.train.noising import NullText
from mugv_jax.train.program import Program
from mugv_jax.train.train_config import DiTRunConfig, DiTTrainConfig, RunConfig
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import load, read_config
from mugv_jax.weights.orbax_files import is_training

log = logging.getLogger(__name__)

NULL_TABLE = "y_embedder.y_embedding"  # (tokens, width): the released trainer's null caption


def check_weights(program: Program, folder: Path) -> None:
    """Check, from headers alone, that `run.weights` fit a run that starts in `folder`.

    Raises:
        ValueError: weights that cannot be read, or sizes other than the config's.
    """
    check_initial(program.config.run, program.kind, program.model, folder)


def check_initial(run: RunConfig, kind: str, sizes: Any, folder: Path) -> None:
    """`check_weights` of a network, by its kind and sizes, before a program is made."""
    if run.weights and not (folder.is_dir() and is_training(folder)):
        _, found = read_config(run.weights, kind)
        _require_sizes(run, sizes, found)


def load_weights(program: Program, **options: Any) -> Mapping[str, Any]:
    """Float32 variables of `run.weights` by collection; empty for a start from random weights.

    options: those of `weights.load.load`.

    Raises:
        ValueError: sizes other than the config's.
    """
    run = program.config.run
    if not run.weights:
        return {}
    found, variables = load(
        run.weights, program.kind, dtype="float32", ema=run.ema_weights, **options
    )
    _require_sizes(run, program.model, found)
    return variables


def _require_sizes(run: RunConfig, wanted: Any, found: Any) -> None:
    """Raise a ValueError for weights whose sizes `found` are not the config's."""
    if found != wanted:
        raise ValueError(
            f"run.weights={run.weights!r} are of {found}, but the config describes "
            f"{wanted}: use the config of their size, or run mugv-jax expand first if they "
            "are of a smaller MUGDiT."
        )


def load_null_text(config: DiTTrainConfig, paths: Sequence[str]) -> NullText:
    """Null caption of the config, padded or cut to the token count of captions.

    The first of: `run.null_text`; the table in `run.weights`; the empty prompt beside the samples,
    which are at `paths`.

    Raises:
        ValueError: captions are dropped but none of these exists, or its width differs.
    """
    found = _find(config.run, paths)
    tokens, width = config.data.text_tokens, config.dit.text_dim
    text, mask = np.zeros((tokens, width), np.float32), np.zeros(tokens, bool)
    if found is None:
        dropped = [task for task in config.tasks.drawn if config.tasks.drop(task) > 0]
        if dropped:
            raise ValueError(
                f"captions of {', '.join(dropped)} are dropped at times, but there is nothing to "
                f"put in their place: set run.null_text to an {EMPTY_TEXT} of `mugv-jax data "
                "encode`, or tasks.drop_caption of these tasks to 0."
            )
        return NullText(text=text, text_mask=mask)
    where, states, valid = found
    if states.shape[1] != width:
        raise ValueError(f"{where}: text of width {states.shape[1]}, the config's is {width}.")
    length = min(tokens, len(states))
    text[:length], mask[:length] = states[:length], valid[:length]
    log.info("dropped captions are replaced by %s.", where)
    return NullText(text=text, text_mask=mask)


def abstract_null_text(config: DiTTrainConfig) -> NullText:
    """Shapes of the null caption, for compiling ahead of time."""
    tokens, width = config.data.text_tokens, config.dit.text_dim
    return NullText(
        text=jax.ShapeDtypeStruct((tokens, width), jnp.float32),
        text_mask=jax.ShapeDtypeStruct((tokens,), jnp.bool_),
    )


def _find(run: DiTRunConfig, paths: Sequence[str]) -> tuple[str, np.ndarray, np.ndarray] | None:
    if run.null_text:
        return run.null_text, *read_empty_text(user_path(run.null_text))
    if run.weights:
        with open_source(run.weights) as source:
            if NULL_TABLE in source.specs:
                table = np.asarray(source.read(NULL_TABLE), np.float32)
                return f"{NULL_TABLE} of {run.weights}", table, np.ones(len(table), bool)
    for path in paths:
        served = is_served(path)
        file = fetch_empty_text(path) if served else find_empty_text(user_path(path))
        if file is not None:
            return str(file), *read_empty_text(file)
    return None
