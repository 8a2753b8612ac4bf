# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Fields of a training sample: how each kind is read, checked, packed and stacked into a batch.

    kind        column of `train.csv`    in a sample             in a batch
    latent X    X_path                   (f, h, w, c) float32    X
    text X      X_feat_path              Text(states, mask)      X, X_mask
    number X    X                        float                   X
    caption X   X                        str                     X_ids (`caption_field.py`)
    column X    X                        str                     X_bytes (`column_field.py`)

A tuple of fields describes a sample. Its first latent decides its shape and therefore its bucket;
every further latent, such as the loser of a preference pair, has the same (f, h, w) and is cropped
in the same way.
"""

import abc
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Shaped

from mugv_jax.axes import Bool, Float
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.data_config import Shape
from mugv_jax.data.pt_files import read_latent, read_text

DEFAULT_FPS = 24.0  # the published trainer feeds it to every sample
RESERVED = ("name", "sample", "weight")  # other keys of records and batches
FLOAT32_MAX = float(np.finfo(np.float32).max)  # batches and records hold numbers in float32

Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # (shift, scale) of every channel


class Text(NamedTuple):
    """Encoder states of a caption, and their mask, which is true on text."""

    states: Float[np.ndarray, "s d"]
    mask: Bool[np.ndarray, "s"]


class BatchSizes(NamedTuple):
    """Sizes that the samples of a batch share.

    shape: (f, h, w) that latents are cropped to.
    text_tokens: length that texts are cut or padded to.
    """

    shape: Shape
    text_tokens: int


@dataclasses.dataclass(frozen=True)
class Field(abc.ABC):
    """One named value of every sample.

    kind: name of the class in the index of a packed data set.
    suffix: ending of the csv column's name, after the field's name.
    width: number of channels or width of the states; None accepts that of the first readable file.
    required: whether every sample must state a value.
    name: key of the value in a sample and in a batch.
    """

    kind: ClassVar[str]
    suffix: ClassVar[str]
    width: ClassVar[int | None] = None
    required: ClassVar[bool] = True

    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" + (f" of width {self.width}" if self.width else "")

    @property
    def column(self) -> str:
        """Csv column of the value."""
        return self.name + self.suffix

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the field in a batch and in a record."""
        return (self.name,)

    def with_width(self, _width: int | None) -> "Field":
        """The field with its width known."""
        return self

    def parse(self, text: str) -> Any:
        """The content of a csv cell; by default that is a path."""
        return text

    @abc.abstractmethod
    def read(self, folder: Path, cell: Any, *, normalised: bool) -> Any:
        """The value of a parsed csv cell: a number, or a path relative to the csv's `folder`.

        normalised: whether the latents of the cell's row are normalised already.

        Raises:
            BadSample: a file that is missing, damaged, or of another layout.
        """

    @abc.abstractmethod
    def checked(self, value: Any, shape: Shape) -> Any:
        """The value as a sample holds it.

        shape: (f, h, w) of the sample's latents, known since the samples were opened.

        Raises:
            BadSample: the value cannot be used; `checked_sample` puts a subject before the message.
        """

    @abc.abstractmethod
    def features(self, latent_dtype: np.dtype) -> dict[str, Any]:
        """TFDS features of the field."""

    @abc.abstractmethod
    def pack(self, value: Any, latent_dtype: np.dtype) -> dict[str, Any]:
        """The value as a part of a TFDS example."""

    @abc.abstractmethod
    def unpack(self, record: Mapping[str, Any]) -> Any:
        """The value in a TFDS record."""

    @abc.abstractmethod
    def stack(self, values: Sequence[Any], sizes: BatchSizes) -> dict[str, np.ndarray]:
        """The values of a batch as arrays with a leading axis of samples."""


Fields = tuple[Field, ...]


@dataclasses.dataclass(frozen=True)
class LatentField(Field):
    """The latent (f, h, w, c) of a clip or picture, normalised.

    statistics: normalise latents of rows with `source=real`; None refuses such rows.
    """

    kind: ClassVar[str] = "latent"
    suffix: ClassVar[str] = "_path"

    channels: int | None = dataclasses.field(default=None, kw_only=True)
    statistics: Statistics | None = dataclasses.field(default=None, kw_only=True)

    @property
    def width(self) -> int | None:
        return self.channels

    def with_width(self, width: int | None) -> "LatentField":
        return dataclasses.replace(self, channels=width)

    def read(self, folder: Path, cell: str, *, normalised: bool) -> Float[np.ndarray, "f h w c"]:
        latent = read_latent(folder / cell)
        if normalised or latent.shape[-1] != self.channels:  # `checked` refuses the latter
            return latent
        shift, scale = (np.asarray(each, np.float32) for each in self.statistics or ())
        return (latent - shift) / scale

    def checked(self, latent: np.ndarray, shape: Shape) -> Float[np.ndarray, "f h w c"]:
        expected = (*shape, self.channels)
        if latent.shape != expected:
            raise BadSample(
                f"is {latent.shape}, but was {expected} when the samples were opened: open them "
                "again."
            )
        return _finite(np.ascontiguousarray(latent, np.float32))

    def features(self, latent_dtype: np.dtype) -> dict[str, Any]:
        shape, doc = (None, None, None, self.channels), "normalised latent (f, h, w, c)"
        return {self.name: _tensor(shape, latent_dtype, doc)}

    def pack(self, latent: np.ndarray, latent_dtype: np.dtype) -> dict[str, Any]:
        return {self.name: latent.astype(latent_dtype)}

    def unpack(self, record: Mapping[str, Any]) -> np.ndarray:
        return record[self.name].astype(np.float32)

    def stack(self, latents: Sequence[np.ndarray], sizes: BatchSizes) -> dict[str, np.ndarray]:
        """Float32 (b f h w c)."""
        return {self.name: np.stack([crop(latent, sizes.shape) for latent in latents])}


@dataclasses.dataclass(frozen=True)
class TextField(Field):
    """The encoder states of a caption, without the padding after its last token.

    optional: a sample may lack the caption, as an empty cell or column; its mask is then all false.
    """

    kind: ClassVar[str] = "text"
    suffix: ClassVar[str] = "_feat_path"

    width: int | None = dataclasses.field(default=None, kw_only=True)
    optional: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def required(self) -> bool:
        return not self.optional

    @property
    def keys(self) -> tuple[str, ...]:
        return self.name, f"{self.name}_mask"

    def with_width(self, width: int | None) -> "TextField":
        return dataclasses.replace(self, width=width)

    def read(self, folder: Path, cell: str, *, normalised: bool) -> Text:
        del normalised
        return Text(*read_text(folder / cell)) if cell else self._absent

    def checked(self, text: Text, _shape: Shape) -> Text:
        states, mask = text
        if states.ndim != 2 or states.shape[1] != self.width or mask.shape != states.shape[:1]:
            raise BadSample(
                f"is {states.shape} with a mask of {mask.shape}; it must be (s, {self.width}) and "
                "(s,), as wide as the other samples'."
            )
        valid = np.flatnonzero(mask)
        if self.optional and not mask.size:
            return self._absent
        if not valid.size:
            raise BadSample("has a mask that leaves no token; encode it again.")
        length = int(valid[-1]) + 1
        mask = mask[:length].astype(bool)
        # Masked states are never read and may hold anything: zero, so that equal texts are equal.
        states = np.where(mask[:, None], states[:length].astype(np.float32), np.float32(0))
        return Text(_finite(states), mask)

    def features(self, _latent_dtype: np.dtype) -> dict[str, Any]:
        states = "states of the caption (s, d), without padding"
        parts = (
            _tensor((None, self.width), np.dtype(np.float32), states),
            _tensor((None,), np.dtype(bool), "true on text (s)"),
        )
        return dict(zip(self.keys, parts))

    def pack(self, text: Text, _latent_dtype: np.dtype) -> dict[str, Any]:
        return dict(zip(self.keys, text))

    def unpack(self, record: Mapping[str, Any]) -> Text:
        if self.optional and self.name not in record:
            return self._absent
        return Text(*(record[key] for key in self.keys))

    @property
    def _absent(self) -> Text:
        """The text of a sample that lacks it."""
        return Text(np.zeros((0, self.width or 0), np.float32), np.zeros(0, bool))

    def stack(self, texts: Sequence[Text], sizes: BatchSizes) -> dict[str, np.ndarray]:
        """States, float32 (b s d), and masks, bool (b s); zero where there is no text."""
        assert self.width is not None  # known once the samples are opened
        states = np.zeros((len(texts), sizes.text_tokens, self.width), np.float32)
        masks = np.zeros((len(texts), sizes.text_tokens), bool)
        for row, text in enumerate(texts):
            length = min(len(text.states), sizes.text_tokens)
            states[row, :length] = text.states[:length]
            masks[row, :length] = text.mask[:length]
        return dict(zip(self.keys, (states, masks)))


@dataclasses.dataclass(frozen=True)
class NumberField(Field):
    """A number, such as a frame rate or a label.

    default: value of samples that do not state the number; None makes it required.
    positive: only numbers above 0 are valid.
    """

    kind: ClassVar[str] = "number"
    suffix: ClassVar[str] = ""

    default: float | None = dataclasses.field(default=None, kw_only=True)
    positive: bool = dataclasses.field(default=False, kw_only=True)

    @property
    def required(self) -> bool:
        return self.default is None

    def parse(self, text: str) -> float:
        """The number in a csv cell; the default if the cell is empty.

        Raises:
            ValueError: no number of float32's range, or one that should be positive and is not.
        """
        if not text and self.default is not None:
            return self.default
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        in_range = -FLOAT32_MAX <= number <= FLOAT32_MAX  # false for NaN
        if not in_range or (self.positive and number <= 0):
            what = "a positive number" if self.positive else "a number"
            empty = "" if self.required else ", or empty"
            raise ValueError(f"{self.column}={text!r} must be {what}{empty}.")
        return number

    def read(self, _folder: Path, cell: float, *, normalised: bool) -> float:
        del normalised
        return cell

    def checked(self, number: float, _shape: Shape) -> float:
        if not math.isfinite(number):
            raise BadSample(f"is {number}; it must be finite.")
        return number

    def features(self, _latent_dtype: np.dtype) -> dict[str, Any]:
        import tensorflow_datasets as tfds  # slow, and only packing needs it

        return {self.name: tfds.features.Scalar(dtype=np.float32)}

    def pack(self, number: float, _latent_dtype: np.dtype) -> dict[str, Any]:
        return {self.name: np.float32(number)}

    def unpack(self, record: Mapping[str, Any]) -> float:
        return float(record.get(self.name, self.default))

    def stack(self, numbers: Sequence[float], _sizes: BatchSizes) -> dict[str, np.ndarray]:
        """Float32 (b)."""
        return {self.name: np.array(numbers, np.float32)}


def flow_fields(
    *,
    channels: int | None = None,
    text_dim: int | None = None,
    statistics: Statistics | None = None,
) -> Fields:
    """Fields that flow matching trains on: a latent, its caption and its frame rate.

    channels, text_dim: what the model reads; None accepts those of the first readable file.
    statistics: (shift, scale) of the VAE's latents, see `LatentField`.
    """
    return (
        LatentField("latent", channels=channels, statistics=statistics),
        TextField("text", width=text_dim),
        NumberField("fps", default=DEFAULT_FPS, positive=True),
    )


def check_fields(fields: Fields) -> None:
    """Refuses fields that cannot make a batch.

    Raises:
        ValueError: no latent, or keys that collide in a batch.
    """
    if not any(isinstance(field, LatentField) for field in fields):
        raise ValueError("a sample needs at least one latent field, which decides its shape.")
    keys = [*RESERVED, *(key for field in fields for key in field.keys)]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(
            f"fields collide in {', '.join(twice)}: every key of a batch must have one source, and "
            f"{', '.join(RESERVED)} are reserved."
        )


def crop(x: Shaped[np.ndarray, "f h w c"], shape: Shape) -> Shaped[np.ndarray, "_f _h _w c"]:
    """The first frames of a latent or a clip, and the middle of each frame.

    The first frame is always kept: the first latent of a clip of 8k+1 frames stands for its first
    frame alone, and image-to-video training takes it for the given picture.
    """
    top, left = ((have - want) // 2 for have, want in zip(x.shape[1:3], shape[1:]))
    return x[: shape[0], top : top + shape[1], left : left + shape[2]]


def _tensor(shape: tuple[int | None, ...], dtype: np.dtype, doc: str) -> Any:
    import tensorflow_datasets as tfds  # slow, and only packing needs it

    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding="bytes", doc=doc)


def _finite(array: np.ndarray) -> np.ndarray:
    """The array itself, or a `BadSample` if it holds NaN or infinities."""
    if not np.isfinite(array).all():
        raise BadSample("holds NaN or infinities; encode it again, in float32 if it overflowed.")
    return array
