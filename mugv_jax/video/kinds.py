# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Kinds of input files: still pictures, animated pictures and videos, recognised by content.

A suffix decides only where the first bytes are those of no known format.
"""

import os
import pathlib

PICTURES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif",
)  # fmt: skip
VIDEOS = (
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp",
    ".gif", ".apng",
)  # fmt: skip
HEAD_BYTES = 64

# Pictures in ISO media files (ISO/IEC 14496-12), by the brands of their first box.
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"mif1"}
STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\x1a\x45\xdf\xa3": "video",  # Matroska and WebM
    b"\0\0\1\xba": "video",  # MPEG
    b"\0\0\1\xb3": "video",
    b"FLV": "video",
    b"OggS": "video",
}
PICTURE_KINDS = {"JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "HEIF"}
ANIMATED_KINDS = {"PNG", "GIF", "WEBP", "AVIF"}  # formats whose pictures may move
MOTION_JPEG = (".mjpeg", ".mjpg")  # videos that begin as a JPEG file does


def kind_of(path: str | os.PathLike) -> str | None:
    """One of PICTURE_KINDS or "video", by the file's first bytes; None for other content.

    Raises:
        OSError: the file cannot be read.
    """
    path = pathlib.Path(path)
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    for start, kind in STARTS.items():
        if head.startswith(start):
            motion = kind == "JPEG" and path.suffix.lower() in MOTION_JPEG
            return "video" if motion else kind
    if head.startswith(b"RIFF"):
        return {b"WEBP": "WEBP", b"AVI ": "video"}.get(head[8:12])
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return "BMP"
    if head[4:8] == b"ftyp":
        return _media_kind(head)
    return None


def _media_kind(head: bytes) -> str:
    """Kind of an ISO media file: that of its main brand, or, for a general one, of the others."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[at : at + 4] for at in (8, *range(16, end, 4))]
    if brands[0] in AVIF_BRANDS:
        return "AVIF"
    if brands[0] not in HEIF_BRANDS:
        return "video"  # also sequences of HEVC pictures, which FFmpeg reads
    return "AVIF" if brands[0] == b"mif1" and AVIF_BRANDS & set(brands) else "HEIF"
