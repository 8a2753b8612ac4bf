# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of VBench-I2V at an aspect ratio.

    DATA/crop/RATIO/NAME.jpg                        as downloaded, for 1-1, 8-5, 7-4 and 16-9
    DATA/origin/NAME.jpg, DATA/i2v-bench-info.json  the originals, and the boxes to crop

The boxes keep the subject, so a picture must not be cropped about its middle instead.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mugv_jax import video
from mugv_jax.data.bad_sample import listed
from mugv_jax.files import existing_file, read_json, shortened
from mugv_jax.progress import over

RATIOS = ("16-9", "7-4", "8-5", "1-1")
CROPPED, ORIGINAL, BOXES = "crop", "origin", "i2v-bench-info.json"
QUALITY = 95  # of JPEG


def images_at(data: Path, ratio: str, names: Sequence[str], cache: Path) -> Path:
    """Folder of the pictures `names` at a ratio; they are cropped into `cache` if need be.

    Raises:
        ValueError: pictures or boxes that are missing.
    """
    ready = data / CROPPED / ratio
    if ready.is_dir():
        missing = [name for name in dict.fromkeys(names) if not (ready / name).is_file()]
        if missing:
            told = listed(missing, "picture is missing", "pictures are missing")
            raise ValueError(f"{ready}: {told}")
        return ready
    if not (data / BOXES).is_file():
        raise ValueError(
            f"{str(data)!r} holds neither {CROPPED}/{ratio} nor {BOXES}: give the folder that "
            "VBench's download_data.sh fills."
        )
    boxes = _boxes(data / BOXES, ratio)
    folder = cache / ratio
    for name in over(list(dict.fromkeys(names)), "cropping pictures", unit="picture"):
        if name not in boxes:
            raise ValueError(
                f"{data / BOXES} has no box for {shortened(name)!r} at {ratio}: make "
                f"{CROPPED}/{ratio} with VBench's crop_to_diff_ratio.py."
            )
        if not (folder / name).is_file():
            _crop(existing_file(data / ORIGINAL / name, "picture"), boxes[name], folder / name)
    return folder


def _boxes(path: Path, ratio: str) -> Mapping[str, tuple[int, int, int, int]]:
    """(x, y, width, height) of every picture at a ratio, of those that have it."""
    entries = read_json(path)
    found = {}
    for entry in entries if isinstance(entries, list) else []:
        crops: Any = entry.get("diff_ratio_crop") if isinstance(entry, dict) else None
        box = crops.get(ratio) if isinstance(crops, dict) else None
        if isinstance(box, list) and len(box) == 4 and all(isinstance(each, int) for each in box):
            found[str(entry.get("file_name"))] = tuple(box)
    return found


def _crop(source: Path, box: tuple[int, int, int, int], target: Path) -> None:
    pixels = video.read_image(source)
    x, y, width, height = box
    if min(x, y) < 0 or min(width, height) < 1:
        raise ValueError(f"{source}: its box {box} is none.")
    part = pixels[y : y + height, x : x + width]
    if part.shape[:2] != (height, width):
        raise ValueError(f"{source}: its box {box} is larger than the picture.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    Image.fromarray(part).save(partial, quality=QUALITY, subsampling=0)
    partial.replace(target)
