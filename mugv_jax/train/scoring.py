# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Scorers: programs that judge frames, without a gradient.

    parts of a clip, more is better -> score = sum of weight * part / sum of weights

`HostScorer` calls one inside the training step; `post/scoring.py` scores files with the same.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import UInt8

from mugv_jax.axes import Array, Float, Frames, Pixels
from mugv_jax.data.column_field import ColumnField
from mugv_jax.sharding.place import BATCH_AXES
from mugv_jax.train.plugins import find_function

# Functions that make a scorer from its options in the config.
REGISTERED = {"demo": "mugv_jax.post.demo:DemoScorer"}
# XLA's CPU client copies longer arguments of a callback in its pool of threads, and waits for them
# in a thread of that pool: without an idle one, for ever.
CHUNK = 2**16


@runtime_checkable
class Scorer(Protocol):
    """Judges clips; a reward model becomes one in a few lines.

    name: the rater in `labels.csv`.
    parts: names of what is judged, in the order of a judgement; a reward model has one.
    A scorer that reads columns of its rows lists them as `fields`, each a `ColumnField`: training
    has those alone.
    """

    @property
    def name(self) -> str: ...

    @property
    def parts(self) -> tuple[str, ...]: ...

    def judge(
        self, videos: Sequence[Frames], about: Sequence[Mapping[str, str]]
    ) -> Sequence[Sequence[float]]:
        """Values of all parts for each clip; more is better.

        about: row of each clip, with its caption and all other columns.

        Raises:
            ValueError: rows that lack what the scorer needs.
        """
        ...


@dataclasses.dataclass(frozen=True)
class Weighting:
    """Weights of the parts of a score; parts without one do not count.

    Raises:
        ValueError: no parts, or a weight that is not positive.
    """

    weights: Mapping[str, float]

    def __post_init__(self):
        if not self.weights or not all(0 < w < math.inf for w in self.weights.values()):
            raise ValueError(f"weights={dict(self.weights)} must be some numbers above 0.")

    @classmethod
    def of(cls, scorer: Scorer, chosen: Mapping[str, float] | None = None) -> "Weighting":
        """The chosen weights, or 1 for every part of the scorer.

        Raises:
            ValueError: a part that the scorer does not have.
        """
        unknown = sorted({*(chosen or ())} - {*scorer.parts})
        if unknown:
            raise ValueError(
                f"part {unknown[0]!r} is not judged by {scorer.name}: it has "
                f"{', '.join(scorer.parts)}."
            )
        return cls(chosen or dict.fromkeys(scorer.parts, 1.0))

    def score(self, values: Mapping[str, float]) -> float:
        """Weighted mean of the parts."""
        total = sum(weight * values[name] for name, weight in self.weights.items())
        return total / sum(self.weights.values())


@dataclasses.dataclass(frozen=True, eq=False)
class HostScorer:
    """A scorer that judges the clips of a batch on the host, inside a compiled step.

    Every process judges the clips of its own data shards. Devices that share a shard (over
    sequence, tensor or pipeline) receive the result of one of them, so that a clip is judged once
    and a scorer that is not deterministic cannot make devices differ.

    mesh: mesh of the step.
    """

    scorer: Scorer
    weighting: Weighting
    mesh: Mesh

    @classmethod
    def of(cls, described: Mapping[str, Any], mesh: Mesh) -> "HostScorer":
        """The scorer of the config field `objective.score`, see `check_described`.

        Raises:
            ValueError: a scorer that does not exist, options that it does not take, or weights of
                parts that it does not judge.
        """
        scorer = make_scorer(described)
        counting = {part: x for part, x in described.get("weights", {}).items() if x}
        return cls(scorer, Weighting.of(scorer, counting), mesh)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of what is judged."""
        return self.scorer.parts

    def total(self, parts: Float[Array, "b p"]) -> Float[Array, "b"]:
        """Scores, from the values of all parts."""
        weights = [self.weighting.weights.get(name, 0.0) for name in self.parts]
        return parts @ jnp.asarray(weights, jnp.float32) / sum(weights)

    def __call__(self, pixels: Pixels, batch: Mapping[str, Array]) -> Float[Array, "b p"]:
        """Values of all parts for each clip.

        pixels: nominally in [-1, 1], sharded over the data shards.  batch: holds the columns that
            the scorer reads.
        """
        columns = {key: batch[key] for field in columns_of(self.scorer) for key in field.keys}
        over_shards = PartitionSpec(BATCH_AXES)
        return jax.shard_map(
            self._on_device,
            mesh=self.mesh,
            in_specs=over_shards,
            out_specs=over_shards,
            check_vma=False,
        )(as_frames(pixels), columns)

    def _on_device(
        self, frames: UInt8[Array, "b f h w 3"], columns: Mapping[str, Array]
    ) -> Float[Array, "b p"]:
        """Values for the clips of this device, inside `jax.shard_map`."""
        result = jax.ShapeDtypeStruct((len(frames), len(self.parts)), jnp.float32)
        judge = functools.partial(self._judge, frames.shape)
        split = self.mesh.devices.flat[0].platform == "cpu"
        pieces = _pieces(frames) if split else (frames,)
        copies = tuple(
            axis for axis, size in self.mesh.shape.items() if axis not in BATCH_AXES and size > 1
        )
        if not copies:
            return jax.pure_callback(judge, result, pieces, columns)
        values = jax.lax.cond(
            sum(jax.lax.axis_index(axis) for axis in copies) == 0,
            lambda: jax.pure_callback(judge, result, pieces, columns),
            lambda: jnp.zeros(result.shape, result.dtype),
        )
        return jax.lax.psum(values, copies)

    def _judge(
        self, shape: tuple[int, ...], pieces: Sequence[Any], columns: Mapping[str, Any]
    ) -> Float[np.ndarray, "b p"]:
        """Values for clips of the shape (b, f, h, w, 3), on the host.

        Raises:
            ValueError: a judgement of another size, or that is not finite.
        """
        flat = np.concatenate([np.asarray(piece).reshape(-1) for piece in pieces])
        videos = flat[: math.prod(shape)].reshape(shape)
        texts = {
            field.name: field.texts(np.asarray(columns[key]))
            for field in columns_of(self.scorer)
            for key in field.keys
        }
        about = [{name: each[row] for name, each in texts.items()} for row in range(len(videos))]
        values = np.asarray(self.scorer.judge(list(videos), about), np.float32)
        if values.shape != (len(videos), len(self.parts)) or not np.isfinite(values).all():
            raise ValueError(
                f"{self.scorer.name} judged {len(videos)} clips by {values.tolist()}: it must give "
                f"a finite number for each of {', '.join(self.parts)} for every clip."
            )
        return values


def make_scorer(described: Mapping[str, Any]) -> Scorer:
    """The scorer that a config describes.

    Raises:
        ValueError: one that does not exist, or options that it does not take.
    """
    field = "objective.score"
    make = find_function(f"{field}.load", described["load"], REGISTERED)
    options = {key: value for key, value in described.items() if key not in ("load", "weights")}
    try:
        scorer = make(**options)
    except TypeError as error:
        raise ValueError(f"{field}: options {options} do not fit ({error}).") from error
    if not isinstance(scorer, Scorer):
        raise ValueError(
            f"{field}.load={described['load']!r} made {type(scorer).__name__}, which is no scorer: "
            "it needs name, parts and judge(videos, about)."
        )
    return scorer


def columns_of(scorer: Scorer) -> tuple[ColumnField, ...]:
    """Columns of `train.csv` that a scorer reads."""
    return tuple(getattr(scorer, "fields", ()))


def as_frames(pixels: Pixels) -> UInt8[Array, "b _f _h _w 3"]:
    """Frames from pixels in [-1, 1], as `video.to_frames` makes them of arrays on the host."""
    return jnp.round((jnp.clip(pixels.astype(jnp.float32), -1, 1) + 1) * 127.5).astype(jnp.uint8)


def _pieces(frames: UInt8[Array, "b f h w 3"]) -> tuple[UInt8[Array, "c"], ...]:
    """All bytes in pieces of CHUNK, the last one filled up."""
    flat = frames.reshape(-1)
    count = -(-flat.size // CHUNK)
    return tuple(jnp.pad(flat, (0, count * CHUNK - flat.size)).reshape(count, CHUNK))


def check_described(described: Mapping[str, Any]) -> None:
    """Check the config field `score`: load, perhaps weights by part, and the scorer's options.

    Parts without a weight, or with 0, do not count; without any weights all count alike.

    Raises:
        ValueError: no `load`, or weights that are not a number for each part.
    """
    if not isinstance(described.get("load"), str):
        raise ValueError(
            f"score={dict(described)} needs 'load', one of {', '.join(REGISTERED)} or a Python "
            "function as module:function that makes the scorer."
        )
    weights = described.get("weights", {})
    if not isinstance(weights, Mapping) or not all(
        isinstance(weight, int | float) for weight in weights.values()
    ):
        raise ValueError(f"score.weights={weights!r} must be a number for each part that counts.")
