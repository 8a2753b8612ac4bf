# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax convert`: published checkpoints to Orbax, and back.

published names -> check against the table -> parameters, piece by piece -> Orbax
Orbax           -> published tensors, one by one                         -> published files
"""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mugv_jax.weights import store
from mugv_jax.weights.check import check, floating_dtype, identify
from mugv_jax.weights.formats import FORMATS, format_of, open_source, open_writer
from mugv_jax.weights.models import MODELS, Model
from mugv_jax.weights.parameters import LazyTensor, cast_weights, constant_names
from mugv_jax.weights.sources import Recast, Source
from mugv_jax.weights.staging import refuse_existing, staged

DROPPED_CAPTION = "y_embedder.y_embedding"

logger = logging.getLogger(__name__)


def convert(
    src: str | Path,
    dst: str | Path,
    *,
    kind: str | None = None,
    format: str | None = None,
    tensor_parallel: int = 1,
    ema: bool = False,
    dtype: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write the checkpoint at `src` to `dst` in another format; nothing else changes.

    kind: which model it is, where the tensor names leave a doubt.
    format: one of FORMATS; the suffix of `dst` tells it otherwise (a folder is Orbax).
    tensor_parallel: ranks of a Megatron checkpoint to write.
    ema: take the averaged weights of a training checkpoint.
    dtype: cast floating tensors but the model's constants, each as it is read.

    Raises:
        ValueError: `src` is no checkpoint of a known model, or `dst` cannot be written. Nothing
            is written then.
    """
    src, dst = Path(src).expanduser(), Path(dst).expanduser()
    chosen = format or format_of(dst)
    if dst.resolve() in src.resolve().parents:
        raise ValueError(f"{src} lies inside {dst}, which would be replaced.")
    _check_options(dst, chosen, tensor_parallel, overwrite=overwrite)
    cast = floating_dtype(dtype)
    with open_source(src, ema=ema) as source:
        if cast is None and chosen == source.format:
            raise ValueError(f"{src} is {chosen} already; ask for another format or dtype.")
        model, config = identify(source, kind)
        parameters = cast_weights(check(source, model, config), cast)
        if cast is not None:
            kept = constant_names(model.table(config))
            source = Recast(source, source.specs.keys() - kept, cast)
        with staged(dst, overwrite=overwrite) as partial:
            if chosen == "orbax":
                _import(source, parameters, partial, model, config)
            else:
                _export(source, partial, model, chosen, tensor_parallel)
    logger.info("wrote %s: %s, %s", dst, model.kind, chosen)


def _check_options(dst: Path, chosen: str, tensor_parallel: int, *, overwrite: bool) -> None:
    if chosen not in FORMATS:
        raise ValueError(f"format {chosen!r} must be one of {', '.join(FORMATS)}.")
    if tensor_parallel < 1 or (tensor_parallel > 1 and chosen != "megatron"):
        raise ValueError(
            f"tensor_parallel={tensor_parallel} must be at least 1, and 1 for every format but "
            "megatron, which alone splits tensors."
        )
    refuse_existing(dst, overwrite=overwrite)


def _import(
    source: Source, parameters: Mapping[str, LazyTensor], path: Path, model: Model, config: Any
) -> None:
    table = model.table(config)
    dtypes = {
        name: str(source.specs[name].dtype)
        for rule in table.rules
        for name in table.names(rule)
        if source.specs[name].dtype != parameters[rule.path].dtype
    }
    with _progress(sum(lazy.nbytes for lazy in parameters.values()), "Orbax") as bar:
        store.save(
            path,
            parameters,
            kind=model.kind,
            config=config,
            dtypes=dtypes,
            source_format=source.format,
            progress=bar.update,
        )


def _export(source: Source, path: Path, model: Model, chosen: str, tensor_parallel: int) -> None:
    if chosen == "megatron" and model.kind != "mugv_dit":
        raise ValueError(f"{source.path}: the Megatron trainer knows mugv_dit, not {model.kind}.")
    specs = {name: spec for name, spec in source.specs.items() if not model.is_foreign(name)}
    if chosen == "megatron" and DROPPED_CAPTION not in specs:
        logger.warning(
            "%s has no %s (the features of a dropped caption), which the Megatron trainer expects "
            "in a checkpoint; it ships them as fixtures/y_embedding.pt.",
            source.path,
            DROPPED_CAPTION,
        )
    writer = open_writer(path, chosen, specs, tensor_parallel=tensor_parallel)
    with _progress(sum(spec.nbytes for spec in specs.values()), chosen) as bar, writer:
        for name, spec in specs.items():
            writer.add(name, source.read(name))
            bar.update(spec.nbytes)


def _progress(total: int, format: str) -> tqdm:
    """A bar over bytes; silent where there is no terminal."""
    return tqdm(total=total, unit="B", unit_scale=True, desc=f"writing {format}", disable=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `mugv-jax convert`."""
    parser.description = "Convert weights between published files and Orbax checkpoints."
    parser.add_argument("src", metavar="SRC", help="checkpoint file or folder, published or Orbax")
    parser.add_argument("dst", metavar="DST", help="x.pt, x.safetensors, or a folder (Orbax)")
    parser.add_argument("--model", choices=sorted(MODELS), help="what SRC holds (found out)")
    parser.add_argument("--format", choices=FORMATS, help="what to write (from DST's name)")
    parser.add_argument(
        "--tensor-parallel", type=int, default=1, metavar="N", help="ranks to write for Megatron"
    )
    parser.add_argument("--ema", action="store_true", help="the averaged weights of SRC")
    parser.add_argument("--dtype", help="cast weights to this, such as bfloat16 (as they are)")
    parser.add_argument("--overwrite", action="store_true", help="replace DST once complete")


def run(args: argparse.Namespace) -> None:
    """`mugv-jax convert` with parsed options."""
    convert(
        args.src,
        args.dst,
        kind=args.model,
        format=args.format,
        tensor_parallel=args.tensor_parallel,
        ema=args.ema,
        dtype=args.dtype,
        overwrite=args.overwrite,
    )
