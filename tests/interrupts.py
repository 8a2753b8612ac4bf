# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Commands interrupted at many moments, and on full disks; run by hand, for hours if all are tried.

    python -m tests.interrupts --moments 50
    python -m tests.interrupts --commands convert_pt train --signals INT KILL --moments 12 --disk 10

Every command runs once undisturbed, then once per signal and moment between its start and its end,
each in a folder of its own, then with a limit on the size of files at `--disk` sizes. A command
must end as `verdict` says; then the same command runs again and must end with 0, without any
temporary file left. The table counts outcomes; every failure is printed with what the command said.
"""

import argparse
import collections
import dataclasses
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "mugv_jax" / "assets" / "demo"
CACHE = "--compile-cache {inputs}/cache"
SHORT = (
    "\"--config.data.paths=('{inputs}/samples',)\" "
    "--config.data.holdout=0 --config.dit.depth=1 --config.data.tokens_per_shard=100 "
    "--config.data.shapes=() --config.data.image_share=() --config.data.threads=1 "
    "--config.log.every=2 --config.log.validate_every=0 --config.optimizer.warmup_steps=2 "
    "--config.checkpoint.every=2 " + CACHE
)
TRAIN = "--config {root}/configs/mugv_demo.py " + SHORT
ENCODE = "data encode {inputs}/clips/captions.csv --weights {demo} --size 64x64 --fps 8 " + CACHE
SAMPLE = (
    "post sample {inputs}/clips/captions.csv --count 2 --batch 4 --weights {demo} --size 64x64 "
    "--frames 9 --steps 4 " + CACHE
)
# Name -> words of a command that writes into the current folder.
COMMANDS = {
    "convert_pt": "convert {inputs}/big.safetensors out.pt",
    "convert_orbax": "convert {inputs}/big.safetensors out",
    "convert_megatron": "convert {inputs}/big.safetensors out --format megatron",
    "generate": "generate 'a red star moves left' -o video.mp4 --steps 4 --frames 9 " + CACHE,
    "data_encode": ENCODE + " --out samples --max-frames 9",
    "data_pack": "data pack {inputs}/samples packed",
    "train": "train --output run --config.run.steps=8 " + TRAIN,
    "train_workers": "train --output run --config.run.steps=6 --config.data.workers=2 " + TRAIN,
    "train_vae": "train-vae --output run --config {root}/configs/vae_demo.py "
    "\"--config.data.paths=('{inputs}/clips',)\" --config.data.frames=9 --config.data.threads=1 "
    "--config.run.steps=4 --config.checkpoint.every=2 --config.optimizer.warmup_steps=2 "
    "--config.discriminator_optimizer.warmup_steps=2 "
    "\"--config.data.holdout_paths=('{inputs}/clips',)\" " + CACHE,
    "curriculum": "curriculum --stages {root}/configs/mugv_demo.py --output runs "
    "--config.run.steps=6 " + SHORT,
    "contentv": "generate 'a boat' -o video.mp4 --model contentv --random-weights "
    "--config {root}/configs/contentv_debug.py --steps 2 --frames 5 " + CACHE,
    "enhance": "enhance --video {inputs}/clips/clips --out enhanced --random-weights --steps 2 "
    "--config {root}/configs/enhancer_debug.py " + CACHE,
    "verify": "verify {root}/tests/golden/post_training",
    "compile": "compile --config {root}/configs/mugv_demo.py --topology v5e:2x2 --batch 4 "
    "--size 64x64 --frames 17",
    "finetune": "finetune {inputs}/clips -o run --steps 4 --frames 9 --prior none " + CACHE,
    "expand": "expand {inputs}/big.safetensors out.safetensors --depth 7",
    "average": "average {inputs}/big.safetensors {inputs}/big.safetensors out.safetensors "
    "--decay 0.5",
    "info": "info {demo}",
    "eval": "eval demo --weights {demo} --tasks truth,vae --clips 4 --out scores " + CACHE,
    "demo_world": "demo world --split train --count 24 --out world --frames 9",
    "demo_reward": "demo reward -o reward.safetensors --clips 40 --steps 200",
    "post_sample": SAMPLE + " -o own",
    "post_label": "post label {inputs}/own --by demo -o labels.csv",
    "post_pairs": "post pairs {inputs}/own --labels {inputs}/ratings.csv --binary --threshold 0.6 "
    "-o pairs",
    "post_reverse": "post reverse {inputs}/samples --weights {demo} -o pairs --steps 4 --level 3 "
    "--batch 2 " + CACHE,
}
SETUP = (
    "demo world --split train --count 8 --out clips --frames 9",
    ENCODE + " --out samples --max-frames 9",
    "expand {demo}/dit.safetensors big.safetensors --factor 4 --noise 0.01",
    SAMPLE + " -o own",
    "post label own --by demo -o ratings.csv",
)
TEMPORARY = re.compile(r"partial|orbax-checkpoint-tmp|incomplete|^tmp", re.IGNORECASE)
# How a command refuses to replace what it has finished.
FINISHED = re.compile(r"(exists; pass|holds samples: give) --overwrite")
# What C libraries write to stderr when they are loaded, which no handler of ours can keep back.
NOISE = re.compile(r"libtpu|TPU|InitGoogle|Source Location|^E0000|^W0000|^I0000|^\s*$|\r")
BEFORE_PYTHON_S = 1.0  # a signal that comes before the first line of our code kills the process
ENDING_S = 0.2  # the kernel frees the memory of a process that has ended
LIMIT_S = 600
LEAST_DISK = 4096  # what the command says goes to a file too


@dataclasses.dataclass
class Ended:
    """How a process ended: status, seconds, lines of stderr, seconds from the signal to the end."""

    status: int
    seconds: float
    said: str
    after: float = 0.0

    @property
    def lines(self) -> list[str]:
        return [line for line in self.said.splitlines() if not NOISE.search(line)]


def start(words: str, folder: Path, inputs: Path, limit: int | None = None) -> subprocess.Popen:
    """Starts `mugv-jax words` in `folder`, in a process group of its own as a terminal does."""

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    places = {"inputs": inputs, "demo": DEMO, "root": ROOT}
    return subprocess.Popen(
        [sys.executable, "-m", "mugv_jax.cli",
         *(word.format(**places) for word in shlex.split(words))],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=(folder.with_suffix(".err")).open("wb"),
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu",
                          "PYTHONDONTWRITEBYTECODE": "1"},
        start_new_session=True, preexec_fn=limited,
    )  # fmt: skip


def finish(process: subprocess.Popen, folder: Path, begun: float) -> Ended:
    """Waits for the end of a process; one that hangs is killed and has the status None."""
    sent = time.monotonic()
    try:
        status = process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait() and 999
    now = time.monotonic()
    said = folder.with_suffix(".err").read_text(errors="replace")
    return Ended(status, now - begun, said, now - sent)


def run(words: str, folder: Path, inputs: Path, limit: int | None = None) -> Ended:
    """Runs a command to its end."""
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    return finish(start(words, folder, inputs, limit), folder, begun)


def interrupted(words: str, folder: Path, inputs: Path, number: int, moment: float) -> Ended:
    """Runs a command and sends it a signal after `moment` seconds."""
    folder.mkdir(parents=True)
    begun = time.monotonic()
    process = start(words, folder, inputs)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        if number == signal.SIGTERM:  # from a scheduler; Ctrl-C reaches the whole group
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
    return finish(process, folder, begun)


def files(folder: Path) -> dict[str, int]:
    """Sizes of all files below a folder."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def temporary(folder: Path) -> list[str]:
    """Files and folders with names of temporary ones."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if TEMPORARY.search(p.name)]


def verdict(ended: Ended, number: int, moment: float) -> str:
    """The outcome of an interrupted command; one that begins with "BAD" is a failure."""
    expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}[number]
    if ended.status == 0 and ended.after < ENDING_S:
        return "had ended"
    if number == signal.SIGKILL:
        return "killed" if ended.status == expected else "BAD status"
    if ended.status == -number or (moment < BEFORE_PYTHON_S and ended.status == 1):
        return "before python" if moment < BEFORE_PYTHON_S else "after python"
    if "Traceback" in ended.said or "Exception ignored" in ended.said:
        return "BAD traceback"
    if "leaked" in ended.said:
        return "BAD leaked"
    if re.search(r"saved at step|finished \d+ steps", ended.said):  # also in its last moments
        good = (0, expected) if number == signal.SIGTERM else (expected,)  # after it has saved
        return "saved" if ended.status in good else "BAD status"
    if ended.status != expected:
        return "BAD status"
    last = ended.said.rstrip().splitlines()[-1:]
    word = "interrupted" if number == signal.SIGINT else "terminated"
    return "one line" if last and last[0].startswith(word) else "BAD line"


def again(words: str, folder: Path, inputs: Path) -> str | None:
    """Runs the same command once more; returns what is wrong with that, if anything."""
    ended = run(words, folder, inputs)
    exists = ended.status == 2 and FINISHED.search(ended.said)
    if ended.status and not exists:
        return f"BAD again {ended.status}: {ended.said[-600:]}"
    left = temporary(folder)
    return f"BAD left {left}" if left else None


def check(name: str, args: argparse.Namespace, inputs: Path) -> collections.Counter:
    """Disturbs one command at all moments and sizes; returns how often each outcome came."""
    words, found = COMMANDS[name], collections.Counter()
    base = args.folder / name
    shutil.rmtree(base, ignore_errors=True)
    first = run(words, base / "first", inputs)
    if first.status:
        sys.exit(f"{name}: {first.status}: {first.said}")
    second = run(words, base / "second", inputs)  # programs are compiled now
    whole = files(base / "second")
    largest = max(whole.values(), default=0)
    report(f"{name}: {second.seconds:.1f} s, {len(whole)} files, largest {largest} bytes")
    for kind in args.signals:
        number = getattr(signal, f"SIG{kind}")
        offset = (args.signals.index(kind) + 0.5) / len(args.signals)  # no moment is tried twice
        for i in range(args.moments):
            moment = second.seconds * (i + offset) / args.moments
            folder = base / f"{kind}{i}"
            ended = interrupted(words, folder, inputs, number, moment)
            outcome = verdict(ended, number, moment)
            left = temporary(folder) if number != signal.SIGKILL else []
            if left:
                outcome = f"BAD left {left}"
            if number == signal.SIGKILL or i % args.again == 0:
                outcome = again(words, folder, inputs) or outcome
            note(found, f"{kind} {outcome}", f"{name} {kind} at {moment:.2f} s", ended)
            shutil.rmtree(folder, ignore_errors=True)
    for i in range(args.disk if largest > 4096 else 0):
        folder = base / f"disk{i}"
        limit = max(LEAST_DISK, int(largest * (i + 0.5) / args.disk))
        ended = run(words, folder, inputs, limit)
        said = "Traceback" in ended.said or "Exception ignored" in ended.said
        outcome = "BAD traceback" if said else f"status {ended.status}"
        if ended.status not in (0, 2):
            outcome = f"BAD {outcome}"
        messages = sum(line.startswith("mugv-jax ") for line in ended.lines)
        if ended.status == 2 and messages != 1:
            outcome = f"BAD {messages} messages"
        left = temporary(folder)
        outcome = f"BAD left {left}" if left else outcome
        outcome = again(words, folder, inputs) or outcome
        note(found, f"disk {outcome}", f"{name} disk of {limit}", ended)
        shutil.rmtree(folder, ignore_errors=True)
    return found


def note(found: collections.Counter, outcome: str, what: str, ended: Ended) -> None:
    found[" ".join(outcome.split()[:3])] += 1
    report(f"  {what}: {outcome} ({ended.status}, ended {ended.after:.1f} s later)")
    if "BAD" in outcome:
        report("    | " + "\n    | ".join(ended.said[-3000:].splitlines()))


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--signals", nargs="*", default=["INT", "TERM", "KILL"])
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--disk", type=int, default=10, help="sizes of the limit on files")
    parser.add_argument("--again", type=int, default=5, help="repeat after every Nth INT and TERM")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/mugv_interrupts"))
    args = parser.parse_args()
    # Shells let background jobs ignore SIGINT, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    inputs = args.folder / "inputs"
    done = inputs / "done"
    if not done.exists():
        shutil.rmtree(inputs, ignore_errors=True)
        for words in SETUP:
            ended = run(words, inputs, inputs)
            if ended.status:
                sys.exit(f"{words}: {ended.said}")
        done.touch()
    bad = 0
    for name in args.commands:
        found = check(name, args, inputs)
        bad += sum(count for outcome, count in found.items() if "BAD" in outcome)
        report(f"{name}: " + ", ".join(f"{outcome} {n}" for outcome, n in sorted(found.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
