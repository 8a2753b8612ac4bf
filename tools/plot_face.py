# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The figure of README.md: clips that the demo's model makes, a row each, with their prompts.

    python -m tools.plot_face docs/demo/face.png

Nothing is chosen after the fact: the prompts stand below, and their seed is the command's default.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mugv_jax import MugvPipeline
from mugv_jax.systems.mugv.models import demo_weights

# Prompt, and whether its first frame is the picture that comes with the package.
ROWS = (
    ("a red star moves left", False),
    ("a cyan ball grows", False),
    ("a green cone drops down in front of a cream backdrop", False),
    ("a yellow box moves up", True),
)
SEED = 42
SHOWN = 7  # frames of a clip, evenly spaced, with the first and the last
SIDE_PX, GAP_PX, TEXT_PX = 144, 6, 250
INK, PAPER = (40, 40, 40), (255, 255, 255)


def main() -> None:
    """Generate the clips and draw them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    picture = demo_weights() / "picture.png"
    videos = MugvPipeline.from_pretrained().generate(
        [prompt for prompt, _ in ROWS],
        image=[picture if given else None for _, given in ROWS],
        seed=[SEED] * len(ROWS),
        rows=len(ROWS),
    )
    assert isinstance(videos, list)
    step = SIDE_PX + GAP_PX
    sheet = Image.new("RGB", (TEXT_PX + SHOWN * step, len(ROWS) * step - GAP_PX), PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, ((prompt, given), made) in enumerate(zip(ROWS, videos, strict=True)):
        words = f"{'picture + ' if given else ''}“{prompt}”"
        draw.multiline_text(
            (TEXT_PX - 2 * GAP_PX, row * step + SIDE_PX // 2),
            _wrapped(words, 26),
            fill=INK,
            font=ImageFont.load_default(18),
            anchor="rm",
            align="right",
        )
        numbers = np.linspace(0, len(made.frames) - 1, SHOWN).round().astype(int)
        for column, number in enumerate(numbers):
            frame = Image.fromarray(made.frames[number])
            frame = frame.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
            sheet.paste(frame, (TEXT_PX + column * step, row * step))
    sheet.save(args.output, optimize=True)


def _wrapped(text: str, most: int) -> str:
    """`text` in lines of at most `most` characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


if __name__ == "__main__":
    main()
