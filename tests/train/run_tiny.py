# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""python -m tests.train.run_tiny SAMPLES RUN FIELD=VALUE... [ADDRESS PROCESS]

Trains, perhaps as one of two processes, and prints the sample numbers that this process read for
each step. With signal_after=STEPS it writes a line to stderr after so many steps, and waits for a
signal.
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

WAITING = "waiting for a signal\n"


def main(samples: str, run: str, *rest: str) -> None:
    options = [each for each in rest if "=" in each]
    fields = [each for each in options if not each.startswith("signal_after=")]
    signal_after = [int(each.split("=")[1]) for each in options if each not in fields]
    if len(rest) > len(options):
        address, number = rest[-2:]
        jax.distributed.initialize(address, 2, int(number))
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    logging.getLogger("absl").setLevel(logging.WARNING)
    read, stops = [], []

    class Watched(loop.Stop):
        def __init__(self, checkpoints):
            super().__init__(checkpoints)
            stops.append(self)

    class Recorded(loop.PlacedBatches):
        def __next__(self):
            if self.get_state()["next_step"] in signal_after:
                sys.stderr.write(WAITING)
                sys.stderr.flush()
                while not stops[-1]._signalled:
                    time.sleep(0.01)
            batch = super().__next__()
            local = batch["sample"].addressable_shards
            read.append(sorted({int(i) for shard in local for i in np.asarray(shard.data)}))
            return batch

    loop.PlacedBatches, loop.Stop = Recorded, Watched
    diffusion.train(tiny(samples, *fields), Path(run))
    sys.stdout.write(json.dumps(read) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
