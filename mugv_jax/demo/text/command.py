# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Trains the demo's text encoder and its vocabulary on captions of the demo world.

python -m mugv_jax.demo.text.command --out demo/text_encoder

Writes config.json, model.safetensors and spiece.model, as T5 is published, and prints scores on
held-out captions as JSON.
"""

import argparse
import json
import sys
from pathlib import Path

from mugv_jax.demo.text import export
from mugv_jax.demo.text.probe import masked_accuracy, probe
from mugv_jax.demo.text.run import train
from mugv_jax.demo.text.text_config import TextTrainConfig
from mugv_jax.demo.world.scene import WORLDS


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--steps", type=int, default=TextTrainConfig.steps)
    parser.add_argument("--captions", type=int, default=TextTrainConfig.captions)
    parser.add_argument("--seed", type=int, default=TextTrainConfig.seed)
    parser.add_argument("--probes", type=int, default=8192, help="captions that probes are fit on")
    parser.add_argument("--overwrite", action="store_true", help="replace an encoder that is there")
    args = parser.parse_args(arguments)
    try:
        config = TextTrainConfig(steps=args.steps, captions=args.captions, seed=args.seed)
        target = export.target(args.out, overwrite=args.overwrite)
        trained = train(config)
        export.write(trained, target)
        scores = {
            name: {
                "masked": masked_accuracy(trained, world, args.probes // 8),
                "probe": probe(trained, world, args.probes, args.probes // 8),
            }
            for name, world in WORLDS.items()
        }
    except (ValueError, OSError) as error:
        parser.error(str(error))
    sys.stdout.write(json.dumps(scores, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
