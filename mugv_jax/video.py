# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""File <-> uint8 frames <-> pixels in [-1, 1], and the fit of a picture to a video size.

Files are read and written through PyAV and Pillow. Frames are RGB, (f, h, w, 3).
"""

import collections
import contextlib
import fractions
import itertools
import os
import pathlib
import secrets
import struct
import warnings
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from mugv_jax.axes import Array, Float, Frames

if TYPE_CHECKING:
    import av

MIN_SIDE_PX = 16  # one token of the model covers 16 x 16 pixels
MAX_PIXELS = 150_000_000  # 450 MB once decoded
CRF = 17  # x264's quality, as published
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error)  # from Pillow
# swscale.h: SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT. Without the last two a frame
# comes back more than one level darker, which adds up when a video is continued time and again.
EXACT_COLOUR = 0x4 | 0x40000 | 0x2000
CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}


class Video(NamedTuple):
    """Frames and their rate in frames per second."""

    frames: Frames
    fps: float

    def save(self, path: str | os.PathLike, *, crf: int = CRF) -> None:
        """Writes the video file `path`; see `write_video`."""
        write_video(path, self.frames, self.fps, crf=crf)


def read_image(path: str | os.PathLike) -> UInt8[np.ndarray, "h w 3"]:
    """The picture in a file, upright (EXIF) and in RGB.

    Transparency is flattened onto white, the ground that product pictures are cut out for. Grey
    pictures of 16 bits keep their range. Of several frames or pages the first is read. Colour
    profiles are not applied, as in the published code.

    Raises:
        ValueError: the file is missing, damaged or no picture, its shorter side is below
            `MIN_SIDE_PX`, or it has more than `MAX_PIXELS`.
    """
    path = _existing_file(path, "image")
    with warnings.catch_warnings():
        # Pillow doubts sizes below MAX_PIXELS, and tells of broken EXIF that nothing reads.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path)
        except (Image.DecompressionBombError, *DAMAGED) as error:
            raise ValueError(f"image {str(path)!r} cannot be opened: {error}.") from error
        with image:
            _check_image_size(path, *image.size)
            try:
                return to_rgb(image)
            except DAMAGED as error:
                raise ValueError(f"image {str(path)!r} is damaged: {error}.") from error


def _check_image_size(path: pathlib.Path, width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise ValueError(
            f"image {str(path)!r} is {width}x{height} pixels: at least {MIN_SIDE_PX} are needed "
            "on its shorter side."
        )
    if width * height > MAX_PIXELS:
        raise ValueError(
            f"image {str(path)!r} is {width}x{height} pixels: at most {MAX_PIXELS / 1e6:.0f} "
            "million are read; scale it down."
        )


def to_rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a Pillow image, as `read_image` gives those of a file.

    Raises:
        ValueError: pixels of unknown range.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range")
    if image.mode.startswith("I"):  # 16 bits, also where Pillow widens them to 32
        grey = np.clip(np.asarray(image).astype(np.int32), 0, 65535)
        return np.repeat(((grey * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=-1)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def fit(
    frames: UInt8[np.ndarray, "*f h w 3"], height: int, width: int
) -> UInt8[np.ndarray, "*f {height} {width} 3"]:
    """Pictures scaled (bicubic) until they cover height x width, the overhang cut off evenly.

    Geometry and rounding are those of the published `resize_crop_to_fill`.

    Raises:
        ValueError: the size is not positive, or so unlike the picture's that more than
            `MAX_PIXELS` would have to be made.
    """
    if height < 1 or width < 1:
        raise ValueError(f"size {height}x{width} (height x width) must be positive.")
    old_height, old_width = frames.shape[-3:-1]
    scale_h, scale_w = height / old_height, width / old_width
    if scale_h > scale_w:
        covering_h, covering_w = height, round(old_width * scale_h)
    else:
        covering_h, covering_w = round(old_height * scale_w), width
    if covering_h * covering_w > MAX_PIXELS:
        raise ValueError(
            f"a picture of {old_width}x{old_height} pixels is too long and narrow to cover "
            f"{width}x{height}: crop it to a similar shape."
        )
    top, left = round((covering_h - height) / 2), round((covering_w - width) / 2)
    fitted = np.empty((*frames.shape[:-3], height, width, 3), np.uint8)
    for index in np.ndindex(frames.shape[:-3]):
        image = Image.fromarray(frames[index])
        image = image.resize((covering_w, covering_h), Image.Resampling.BICUBIC)
        fitted[index] = np.asarray(image)[top : top + height, left : left + width]
    return fitted


def to_pixels(frames: UInt8[np.ndarray, "*f h w 3"]) -> Float[np.ndarray, "*f h w 3"]:
    """[0, 255] -> [-1, 1], float32."""
    pixels = frames.astype(np.float32)
    pixels /= 255  # in place: a video is large
    pixels -= 0.5
    pixels /= 0.5
    return pixels


def to_frames(pixels: Float[Array | np.ndarray, "*f h w 3"]) -> UInt8[np.ndarray, "*f h w 3"]:
    """[-1, 1] -> [0, 255], rounded to nearest; what lies outside is clamped.

    Raises:
        ValueError: NaN among the pixels.
    """
    pixels = np.asarray(pixels, np.float32)
    if np.isnan(np.min(pixels, initial=0)):
        raise ValueError("the pixels hold NaN: the model overflowed; compute in float32.")
    levels = np.clip(pixels, -1, 1)
    levels += 1  # in place: a video is large
    levels /= 2
    levels *= 255
    levels += 0.5
    return levels.astype(np.uint8)


def read_video(
    path: str | os.PathLike, *, max_frames: int | None = None, from_end: bool = False
) -> Video:
    """The first (or last) `max_frames` frames of a video file, all unless given.

    Frames are turned upright as the file's rotation says. A file that names no colour matrix is
    taken for BT.601, what FFmpeg writes unless told otherwise.

    Raises:
        ValueError: the file is missing, damaged, or holds no frame of video.
    """
    if max_frames is not None and max_frames < 1:
        raise ValueError(f"max_frames={max_frames} must be at least 1.")
    with decoding(path) as (stream, decoded):
        if from_end:
            decoded = collections.deque(decoded, maxlen=max_frames)
        frames = [upright_rgb(frame) for frame in itertools.islice(decoded, max_frames)]
        fps = stream.average_rate or stream.guessed_rate
    if not frames or not fps:
        raise ValueError(
            f"video {str(path)!r} is damaged: {len(frames)} frames can be read, at rate {fps}."
        )
    return Video(np.stack(frames), float(fps))


@contextlib.contextmanager
def decoding(
    path: str | os.PathLike,
) -> Iterator[tuple["av.VideoStream", Iterator["av.VideoFrame"]]]:
    """The first video stream of a file, and its frames in the order in which they are shown.

    Raises:
        ValueError: the file is missing, damaged, or holds no video; also where that is found out
            while the frames are taken.
    """
    import av

    path = _existing_file(path, "video")
    # PyAV 19 always tolerates metadata that is not UTF-8 and has no such option.
    tolerant = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "ignore"}
    try:
        with av.open(path, **tolerant) as container:
            if not container.streams.video:
                raise ValueError(f"{str(path)!r} holds no video.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield stream, container.decode(stream)
    except av.FFmpegError as error:
        reason = error.strerror
        raise ValueError(f"video {str(path)!r} is damaged or no video: {reason}.") from error


def upright_rgb(frame: "av.VideoFrame") -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a decoded frame, turned as its file says."""
    quarter_turns = round(frame.rotation / 90)  # counter-clockwise, as numpy counts
    rgb = frame.reformat(format="rgb24", interpolation=EXACT_COLOUR).to_ndarray()
    return np.rot90(rgb, quarter_turns)


def _existing_file(path: str | os.PathLike, what: str) -> pathlib.Path:
    path = pathlib.Path(path)
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"{what} {str(path)!r} {reason}.")
    return path


def prepare_output(
    path: str | os.PathLike, suffixes: Collection[str] = tuple(CONTAINERS)
) -> pathlib.Path:
    """Makes sure, before any long work, that a file of one of `suffixes` can be written to `path`.

    The missing folder is created.

    Raises:
        ValueError: an unknown suffix, `path` is a folder, or its folder cannot be written to.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"output {str(path)!r} must end in {', '.join(suffixes)}.")
    if path.is_dir():
        raise ValueError(f"output {str(path)!r} is a folder: name a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = _partial_name(path)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"output {str(path)!r} cannot be written: {error.strerror}.") from error
    return path


def _partial_name(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")


@contextlib.contextmanager
def completed(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file beside `path` to write to: it becomes `path` when the block ends without an error.

    After any failure, what was there before stays.
    """
    partial = _partial_name(path)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_video(
    path: str | os.PathLike, frames: Frames | Iterable[Frames], fps: float, *, crf: int = CRF
) -> None:
    """Frames to an H.264 file: yuv420p, BT.709 matrix, limited range, tagged so.

    frames: (f, h, w, 3) uint8, or chunks of that shape one after the other, so that a long video
        need not be in memory. This pixel format has even sizes only: an odd height or width gets
        its last row or column twice.
    crf: x264's constant rate factor, 0 (lossless but for colour) to 51.

    The file appears under its name only when it is complete; until then, and after any failure,
    what was there before stays.

    Raises:
        ValueError: no frames, frames that are not uint8 RGB of one size, an `fps` or `crf` out of
            range, or an output that `prepare_output` refuses.
    """
    if not 1 <= fps <= 1000:
        raise ValueError(f"fps={fps} must lie in 1 to 1000.")
    if not 0 <= crf <= 51:
        raise ValueError(f"crf={crf} must lie in 0 (best) to 51.")
    path = prepare_output(path)
    chunks = iter([frames] if isinstance(frames, np.ndarray) else frames)
    with completed(path) as partial:
        _encode(partial, CONTAINERS[path.suffix.lower()], _single(chunks), fps, crf)


def _single(chunks: Iterator[Frames]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of all chunks, checked, their size made even."""
    size = None
    for chunk in chunks:
        if chunk.dtype != np.uint8 or chunk.ndim != 4 or chunk.shape[-1] != 3:
            raise ValueError(
                f"frames must be uint8 (f, h, w, 3), not {chunk.dtype} {chunk.shape}: "
                "to_frames converts pixels."
            )
        size = size or chunk.shape[1:3]
        if chunk.shape[1:3] != size:
            raise ValueError(f"frames of {chunk.shape[1:3]} follow frames of {size}.")
        missing = ((0, size[0] % 2), (0, size[1] % 2), (0, 0))
        yield from (np.pad(frame, missing, mode="edge") for frame in chunk)


def _encode(
    path: pathlib.Path, container_format: str, frames: Iterator, fps: float, crf: int
) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    first = next(frames, None)
    if first is None:
        raise ValueError("there are no frames to write.")
    with av.open(path, "w", format=container_format) as container:
        rate = fractions.Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        for frame in itertools.chain([first], frames):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image = image.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=EXACT_COLOUR,
            )
            container.mux(stream.encode(image))
        container.mux(stream.encode())
