# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Reward models: the mean score of chosen frames of every clip, with a gradient for the pixels.

    reward = mean over frames k of score(image(preprocess(frame k)), text(caption))

A reward has `variables`, its weights in host memory, which the caller passes back as an input of
its program, and `fields`, what it reads of a sample besides the pixels.
"""

import abc
import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import einops
import jax
import jax.numpy as jnp
import numpy as np

from mugv_jax.axes import Array, Float, Int, Pixels
from mugv_jax.data.caption_field import CaptionField
from mugv_jax.data.fields import Fields
from mugv_jax.nn.text.clip import ClipTextEncoder
from mugv_jax.nn.text.tokenizer import load_clip
from mugv_jax.nn.vision.clip import ClipImage, ClipImageEncoder
from mugv_jax.rewards import files
from mugv_jax.rewards.heads import aesthetic_score, cosine, pick_score
from mugv_jax.rewards.preprocess import CROP, PAD, preprocess

DTYPES = ("float32", "bfloat16")
HEAD = "head"
CAPTION = "caption"  # column of the samples


def chosen_frames(pixels: Pixels, frames: Sequence[int]) -> Float[Array, "b k _h _w 3"]:
    """The frames with these numbers.

    Raises:
        ValueError: a clip has fewer frames.
    """
    if max(frames) >= pixels.shape[1]:
        raise ValueError(
            f"frames={tuple(frames)} must be below {pixels.shape[1]}, the number of frames that "
            "are decoded: decode more, or choose others."
        )
    return jnp.stack([pixels[:, each] for each in frames], axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ClipReward(abc.ABC):
    """A reward by CLIP's image encoder; derived classes add the score.

    folder: CLIP as transformers saves it, with config.json and safetensors.
    frames: numbers of the frames whose scores are averaged, from 0.
    dtype: of the encoders' weights and matrix products; float32 or bfloat16.

    Raises:
        ValueError: options out of range, or files that are absent or of another model.
    """

    KINDS: ClassVar[tuple[str, ...]] = (files.IMAGE,)
    FIT: ClassVar[str] = CROP

    folder: str
    frames: Sequence[int] = (0,)
    dtype: str = "float32"

    def __post_init__(self):
        frames = tuple(self.frames)
        whole = all(isinstance(each, int) and each >= 0 for each in frames)
        if not frames or not whole or len(set(frames)) < len(frames):
            raise ValueError(f"frames={frames} must be different numbers of frames, from 0.")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype={self.dtype!r} must be one of {', '.join(DTYPES)}.")
        _ = self.configs

    @functools.cached_property
    def configs(self) -> dict[str, Any]:
        """Sizes of the encoders by their kind."""
        return files.read_encoders(self.folder, *self.KINDS)

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        """Weights, read when they are first asked for."""
        return {kind: files.load_encoder(self.folder, kind, self.dtype) for kind in self.KINDS}

    @property
    def fields(self) -> Fields:
        """What the reward reads of a sample besides the pixels."""
        return ()

    def image(self, variables: Any, pixels: Pixels) -> Float[Array, "b k c"]:
        """Summaries of the chosen frames; `pixels` in [-1, 1]."""
        found = self.encoded(variables, pixels)
        return einops.rearrange(found.pooled, "(b k) c -> b k c", b=len(pixels))

    def encoded(self, variables: Any, pixels: Pixels) -> ClipImage:
        """Results of the image encoder for the chosen frames, those of a clip in a row."""
        config = self.configs[files.IMAGE]
        chosen = chosen_frames(pixels, self.frames)
        flat = einops.rearrange(chosen, "b k h w c -> (b k) h w c")
        flat = preprocess(flat, config.side_px, self.FIT)
        encoder = ClipImageEncoder(config, jnp.dtype(self.dtype))
        found: Any = encoder.apply(variables[files.IMAGE], flat)
        return found

    @abc.abstractmethod
    def scores(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b k"]:
        """Score of every chosen frame."""

    def __call__(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b"]:
        """Mean score of the chosen frames of every clip; `pixels` in [-1, 1]."""
        return jnp.mean(self.scores(variables, pixels, batch), axis=1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CaptionedReward(ClipReward):
    """A reward that compares frames with the caption, which the csv's column `caption` states.

    tokenizer: folder of the tokenizer, if it is not in `folder`.
    """

    KINDS: ClassVar[tuple[str, ...]] = (files.IMAGE, files.TEXT)

    tokenizer: str | None = None

    def __post_init__(self):
        super().__post_init__()
        made, rows = load_clip(self.tokens), self.configs[files.TEXT].vocab_size
        if made.vocab_size > rows:
            raise ValueError(
                f"the tokenizer in {self.tokens!r} has {made.vocab_size} tokens, but the text "
                f"encoder in {self.folder!r} only {rows}: they are not of one model."
            )

    @property
    def tokens(self) -> str:
        """Folder of the tokenizer."""
        return self.folder if self.tokenizer is None else self.tokenizer

    @functools.cached_property
    def logit_scale(self) -> Float[np.ndarray, ""]:
        """Factor of the cosine before exp, which the model's file holds."""
        return files.read_logit_scale(self.folder)

    @property
    def fields(self) -> Fields:
        length = self.configs[files.TEXT].length
        return (CaptionField(CAPTION, tokenizer=self.tokens, length=length),)

    def text(self, variables: Any, ids: Int[Array, "b s"]) -> Float[Array, "b c"]:
        """Summaries of the captions; they are constants of the reward's gradient."""
        encoder = ClipTextEncoder(self.configs[files.TEXT], jnp.dtype(self.dtype))
        found: Any = encoder.apply(variables[files.TEXT], ids)
        return jax.lax.stop_gradient(found.pooled)

    def scores(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b k"]:
        image, (field,) = self.image(variables, pixels), self.fields
        return cosine(image, self.text(variables, batch[field.keys[0]]))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PickScore(CaptionedReward):
    """PickScore (arXiv:2305.01569), about 15 to 25.

    Published as CLIP ViT-H/14 in the layout of transformers; the tokenizer is that of
    `laion/CLIP-ViT-H-14-laion2B-s32B-b79K`.
    """

    def __post_init__(self):
        super().__post_init__()
        _ = self.logit_scale

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        return super().variables | {files.SCALE: self.logit_scale}

    def scores(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b k"]:
        image, (field,) = self.image(variables, pixels), self.fields
        text = self.text(variables, batch[field.keys[0]])
        return pick_score(image, text, variables[files.SCALE])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Hpsv2(CaptionedReward):
    """HPSv2 and HPSv2.1 (arXiv:2306.09341), a cosine, about 0.2 to 0.35.

    `folder` may be the published file (`HPS_v2.1_compressed.pt`), an OpenCLIP ViT-H/14, with a
    `tokenizer` beside it. The picture is padded, not cropped, as in the published code.
    """

    FIT: ClassVar[str] = PAD


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Aesthetic(ClipReward):
    """LAION's aesthetic predictor on CLIP ViT-L/14 (`openai/clip-vit-large-patch14`), 1 to 10.

    head: file of the predictor, `sac+logos+ava1-l14-linearMSE.pth` or the same as safetensors.
    """

    head: str

    def __post_init__(self):
        super().__post_init__()
        _ = self.layers

    @functools.cached_property
    def layers(self) -> list[dict[str, np.ndarray]]:
        """Linear layers of the predictor."""
        return files.read_aesthetic(self.head, self.configs[files.IMAGE].features)

    @functools.cached_property
    def variables(self) -> dict[str, Any]:
        return super().variables | {HEAD: self.layers}

    def scores(
        self, variables: Any, pixels: Pixels, batch: Mapping[str, Array]
    ) -> Float[Array, "b k"]:
        del batch
        return aesthetic_score(self.image(variables, pixels), variables[HEAD])
