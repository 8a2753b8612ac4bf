# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201 (it prints its findings)
"""Runs bad command lines, each in a process of its own, and lists the answers that are wrong.

    python -m tests.fuzz --count 300 --seed 1

The processes are forked from one that has imported all commands, so that 300 take minutes.
"""

import argparse
import importlib
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import NoReturn

from mugv_jax import cli
from tests.fuzz import broken, options
from tests.fuzz.verdict import Answer, Case, faults, tree

GENERATORS = (*options.GENERATORS, *broken.GENERATORS)
MOST_SECONDS, MOST_BYTES = 60, 2 * 2**30
STALLED_SECONDS = 5
PRELOADED = ("torch", "transformers", "orbax.checkpoint", "torch.distributed.checkpoint")


def make(seed: int, number: int, here: Path) -> Case:
    """Case `number` of a seed, whose files are written to `here`."""
    rng = random.Random(f"{seed} {number}")
    return GENERATORS[number % len(GENERATORS)](rng, here)


def run(case: Case, here: Path) -> Answer:
    """The answer of `mugv-jax` to a case, run in the folder `here`."""
    before = tree(here)
    with tempfile.TemporaryDirectory() as streams:
        out, err = Path(streams, "out"), Path(streams, "err")
        started = time.monotonic()
        pid = os.fork()
        if not pid:
            _child(case, here, out, err)
        status, rss = _wait(pid, started)
        seconds = time.monotonic() - started
        texts = [path.read_text(errors="replace") for path in (out, err)]
    return Answer(status, *texts, tree(here) - before, seconds, rss)


def _child(case: Case, here: Path, out: Path, err: Path) -> NoReturn:
    """Run the command with streams in files, and end as Python does."""
    status = 1
    try:
        os.chdir(here)
        for path, stream in ((out, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
        status = cli.main(case.argv)
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(pid: int, started: float) -> tuple[int, int]:
    """(exit status, or the negative number of a signal; most resident bytes) of a process."""
    looked = started
    while True:
        now = time.monotonic()
        if now - looked > STALLED_SECONDS:  # this process was stopped, and the other one with it
            started += now - looked
        looked = now
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
        if time.monotonic() - started > MOST_SECONDS:
            os.kill(pid, signal.SIGKILL)
        if _resident(pid) > MOST_BYTES:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def main() -> int:
    """Run the cases; returns 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of one case, whose answer is printed")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ.update(JAX_PLATFORMS="cpu", HF_HUB_OFFLINE="1", TQDM_DISABLE="1")
    for name in (*(module for module, _ in cli.COMMANDS.values()), *PRELOADED):
        importlib.import_module(name)
    logging.disable(logging.NOTSET)
    wrong, statuses, slowest, largest = 0, {}, 0.0, 0
    for number in range(args.count) if args.only is None else [args.only]:
        with tempfile.TemporaryDirectory() as folder:
            case = make(args.seed, number, Path(folder))
            answer = run(case, Path(folder))
        statuses[answer.status] = statuses.get(answer.status, 0) + 1
        slowest, largest = max(slowest, answer.seconds), max(largest, answer.rss_bytes)
        found = faults(case, answer)
        if answer.rss_bytes > MOST_BYTES:
            found.append(f"{answer.rss_bytes / 2**30:.1f} GiB of memory")
        for fault in found:
            print(f"{number} [{case.kind}] {' '.join(case.argv)[:160]!a}\n    {fault}", flush=True)
        wrong += bool(found)
        if args.only is not None:
            print(answer.out[-3000:], answer.err[-6000:], answer.status, sep="\n---\n")
    print(f"seed {args.seed}: {wrong} of {sum(statuses.values())} answers are wrong; statuses "
          f"{dict(sorted(statuses.items()))}; slowest {slowest:.1f} s, most memory "
          f"{largest / 2**30:.2f} GiB")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
