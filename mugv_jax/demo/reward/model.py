# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's reward model: does a clip show what its caption says, without a physical error?

    p_k(word | clip)     of shape, colour, motion, and physical error                           (1)
    q_k(word | caption)  of shape, colour and motion                                            (2)
    reward = mean over parts k of log sum_word q_k(word) p_k(word),    q_physics = 1 for none   (3)

It reads the text states of the demo's own encoder, which every sample has, and several frames,
since motion and most errors lie between them. A frame is described by the moments of its vivid
pixels (`object_features.py`); what they mean is learnt.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from mugv_jax.axes import Array, Bool, Float, Pixels
from mugv_jax.demo.eval.answers import FIELDS
from mugv_jax.demo.eval.score import PHYSICS
from mugv_jax.demo.reward.object_features import FEATURES, features
from mugv_jax.demo.world.faults import FAULTS
from mugv_jax.demo.world.scene import COLOURS, MOTIONS, SHAPES
from mugv_jax.files import existing_file, user_path
from mugv_jax.systems.mugv.models import demo_weights
from mugv_jax.weights.check import require_same
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.safetensors_files import SafetensorsWriter
from mugv_jax.weights.sources import TensorSpec
from mugv_jax.weights.staging import staged

WEIGHTS = "reward.safetensors"
# Words of each part; "" stands for no object, and of physics for no error.
CLASSES = {
    "shape": (*SHAPES, ""),
    "colour": (*COLOURS, ""),
    "motion": (*MOTIONS, ""),
    PHYSICS: ("", *FAULTS),
}
LEAST_FRAMES = 5
TEXT_WIDTH = 128  # of the states of the demo's text encoder
FRAME, WIDTH = 48, 64

Logits = dict[str, Float[Array, "b _k"]]


class ClipReader(nn.Module):
    """Logits of (1) from `features` of frames, evenly spaced from first to last of a clip."""

    @nn.compact
    def __call__(self, x: Float[Array, "b f k"]) -> Logits:
        count = x.shape[1]
        x = nn.gelu(nn.Dense(FRAME, name="frame")(x))
        time = jnp.linspace(-1, 1, count)[None, :, None]
        # A step from frame to frame is a slower motion where there are more frames.
        known = jnp.concatenate([time, jnp.full_like(time, 8 / (count - 1))], axis=-1)
        known = jnp.broadcast_to(known, (*x.shape[:2], 2))
        y = jnp.concatenate([x, known], axis=-1)
        y = nn.gelu(nn.Conv(WIDTH, (3,), name="time_0")(y))
        y = y + nn.gelu(nn.Conv(WIDTH, (3,), name="time_1")(jnp.concatenate([y, known], axis=-1)))
        means = [jnp.mean(each, axis=1) for each in (x, x * time, y, y * time)]
        pooled = jnp.concatenate([*means, jnp.max(y, axis=1)], axis=-1)
        clip = nn.gelu(nn.Dense(WIDTH, name="clip")(pooled))
        return {part: nn.Dense(len(words), name=part)(clip) for part, words in CLASSES.items()}


class CaptionReader(nn.Module):
    """Logits of (2) from the mean state of each caption's tokens."""

    @nn.compact
    def __call__(self, text: Float[Array, "b d"]) -> Logits:
        text = nn.gelu(nn.Dense(WIDTH, name="text")(text))
        return {part: nn.Dense(len(CLASSES[part]), name=part)(text) for part in FIELDS}


class Judge(nn.Module):
    """Log-probabilities (1) and (2) by part."""

    @nn.compact
    def __call__(
        self, shown: Float[Array, "b f k"], text: Float[Array, "b d"]
    ) -> tuple[Logits, Logits]:
        """shown: `features` of the frames.  text: `mean_state` of the captions."""
        clip, caption = ClipReader(name="clip")(shown), CaptionReader(name="caption")(text)
        return jax.tree.map(jax.nn.log_softmax, (clip, caption))


def mean_state(states: Float[Array, "b s d"], mask: Bool[Array, "b s"]) -> Float[Array, "b d"]:
    """Mean state of each caption's tokens."""
    return jnp.mean(states.astype(jnp.float32), axis=1, where=mask[..., None])


def agreement(shown: Logits, asked: Logits) -> dict[str, Float[Array, "b"]]:
    """log sum_word q(word) p(word) of (3) by part."""
    found = {part: jax.nn.logsumexp(shown[part] + asked[part], axis=-1) for part in asked}
    return found | {PHYSICS: shown[PHYSICS][:, CLASSES[PHYSICS].index("")]}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DemoReward:
    """Reward (3) of clips whose frames are evenly spaced from the first to the last, 5 or more.

    Of 17 decoded frames take all, or the frames (0, 4, 8, 12, 16), with `objective.decode`.

    file: weights of `mugv-jax demo reward`; None for those of the package.
    parts: the parts k of (3), some of shape, colour, motion, physics.

    Raises:
        ValueError: unknown parts, or a file that is absent or holds other weights.
    """

    file: str | None = None
    parts: Sequence[str] = tuple(CLASSES)

    def __post_init__(self):
        parts = tuple(self.parts)
        if not parts or not {*parts} <= {*CLASSES} or len({*parts}) < len(parts):
            raise ValueError(f"parts={parts} must be some of {', '.join(CLASSES)}, each once.")
        _ = self.variables

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        """Weights, in host memory."""
        path = demo_weights() / WEIGHTS if self.file is None else user_path(self.file)
        return {"params": load(path)}

    def judged(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> dict[str, Float[Array, "b"]]:
        """Logarithm of the probability that each part is right; errors as in `__call__`."""
        if pixels.shape[1] < LEAST_FRAMES:
            raise ValueError(
                f"{pixels.shape[1]} frames: the demo's reward compares frames and needs at least "
                f"{LEAST_FRAMES}, evenly spaced over the clip: set objective.decode=() for all, or "
                "to (0, 4, 8, 12, 16) of 17."
            )
        states = batch["text"]
        if states.shape[-1] != TEXT_WIDTH:
            raise ValueError(
                f"text states of width {states.shape[-1]}: the demo's reward reads those of the "
                f"demo's text encoder, {TEXT_WIDTH}."
            )
        text = jax.lax.stop_gradient(mean_state(states, batch["text_mask"]))
        judged: Any = Judge().apply(variables, features(pixels), text)
        found = agreement(*judged)
        return {part: found[part] for part in self.parts}

    def __call__(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b"]:
        """Reward of every clip, at most 0; `pixels` in [-1, 1].

        Raises:
            ValueError: too few frames, or text states of another encoder than the demo's.
        """
        found = self.judged(variables, pixels, batch)
        return jnp.mean(jnp.stack([*found.values()]), axis=0)


def init(key: Array) -> Any:
    """Variables of `Judge`, drawn at random."""
    return Judge().init(key, jnp.zeros((1, LEAST_FRAMES, FEATURES)), jnp.zeros((1, TEXT_WIDTH)))


def load(path: Path) -> dict[str, Any]:
    """Params of `Judge`, float32.

    Raises:
        ValueError: no such file, or other tensors; the message lists all differences.
    """
    existing_file(path, "the reward model of `mugv-jax demo reward`,")
    shapes = jax.eval_shape(init, jax.random.key(0))
    wanted: dict[str, Any] = traverse_util.flatten_dict(shapes["params"], sep=".")
    with open_source(path) as source:
        expected = {name: leaf.shape for name, leaf in wanted.items()}
        require_same(source.shapes, expected, f"{path}: holds other weights than the demo's reward")
        params = {name: np.array(source.read(name), np.float32) for name in wanted}
    return traverse_util.unflatten_dict(params, sep=".")


def save(params: Any, path: Path, *, overwrite: bool = False) -> None:
    """Write the params of `Judge`, bfloat16.

    Raises:
        ValueError: the file exists, and `overwrite` is false.
    """
    flat: dict[str, Any] = traverse_util.flatten_dict(params, sep=".")
    arrays = {name: np.asarray(leaf).astype(jnp.bfloat16) for name, leaf in flat.items()}
    specs = {name: TensorSpec(array.shape, array.dtype) for name, array in arrays.items()}
    with staged(path, overwrite=overwrite) as partial, SafetensorsWriter(partial, specs) as writer:
        for name, array in arrays.items():
            writer.add(name, array)
