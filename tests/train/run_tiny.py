# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""python -m tests.train.run_tiny SAMPLES RUN FIELD=VALUE... [ADDRESS PROCESS]

Trains, perhaps as one of two processes, and prints the sample numbers that this process read for
each step.
"""

import json
import logging
import sys
import time
from pathlib import Path

import jax
import numpy as np

from mugv_jax.train import diffusion, loop
from tests.train.runs import tiny


def main(samples: str, run: str, *rest: str) -> None:
    fields = [each for each in rest if "=" in each]
    if len(rest) > len(fields):
        address, number = rest[-2:]
        jax.distributed.initialize(address, 2, int(number))
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    logging.getLogger("absl").setLevel(logging.WARNING)
    read = []

    class Recorded(loop.PlacedBatches):
        def __next__(self):
            time.sleep(0.2)  # so that a signal comes between two steps
            batch = super().__next__()
            local = batch["sample"].addressable_shards
            read.append(sorted({int(i) for shard in local for i in np.asarray(shard.data)}))
            return batch

    loop.PlacedBatches = Recorded
    diffusion.train(tiny(samples, *fields), Path(run))
    sys.stdout.write(json.dumps(read) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
