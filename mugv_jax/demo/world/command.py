# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Clips of the demo world as video files with captions, for `mugv-jax data encode`.

python -m mugv_jax.demo.world.command --split train --count 8192 --out demo/train
mugv-jax data encode demo/train/captions.csv --size 64x64 --fps 8 --weights ... --out samples
"""

import argparse
import sys
from pathlib import Path

from mugv_jax.demo.world.clips import DemoClips
from mugv_jax.demo.world.export import write_clips
from mugv_jax.demo.world.scene import SPLITS, WORLDS, Format


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--split", choices=SPLITS, required=True)
    parser.add_argument("--count", type=int, required=True, help="clips")
    parser.add_argument("--out", type=Path, required=True, help="folder of clips and list")
    parser.add_argument("--pictures", action="store_true", help="first frames alone")
    parser.add_argument("--world", choices=WORLDS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--height-px", type=int, default=Format.height_px, help="64, 80 or 96")
    parser.add_argument("--width-px", type=int, default=Format.width_px, help="64, 80 or 96")
    parser.add_argument("--frames", type=int, default=Format.frames, help="8k+1")
    parser.add_argument("--fps", type=float, default=Format.fps)
    args = parser.parse_args(arguments)
    try:
        format = Format(
            height_px=args.height_px, width_px=args.width_px, frames=args.frames, fps=args.fps
        )
        clips = DemoClips(
            split=args.split,
            count=args.count,
            seed=args.seed,
            format=format,
            world=WORLDS[args.world],
        )
        write_clips(clips, args.out, pictures=args.pictures)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
