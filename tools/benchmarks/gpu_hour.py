# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is most worth knowing of a GPU, in that order, within given minutes.

    python -m tools.benchmark --gpu-hour --minutes 55 --output hour
    python -m tools.benchmark --gpu-hour --size tiny --device cpu --output rehearsal

Every part is a command with a limit of its own, and leaves its measurements in FOLDER/PART.json,
row by row as they are made. FOLDER/hour.json tells how each part ended. What is killed, by a limit
or with everything, keeps its rows; the same command goes on with the parts that have not finished.
Kernels are compared with float64 on the device, by the suite that times them. At the end, `advice`
says which defaults the figures argue for.
"""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.data.whole_files import write_whole
from tools.benchmarks.report import Row
from tools.benchmarks.setting import Options

LEDGER = "hour.json"
LEAST_S = 20.0  # a part that has less time left does not begin
ENDING_S = 20.0  # for a part to end after SIGTERM
SAID = 2_000  # characters of what a part said last that are kept
NOTABLE = 0.03  # shares of time by which an implementation must win, beyond both spreads
STAGES = ("denoising", "decoding")  # of a video, as progress names them
DONE, LIMIT, FAILED, SKIPPED = "done", "limit", "failed", "no time left"
PROMPTS = ("a boat on a lake", "a house on a hill")
MUGV = (sys.executable, "-m", "mugv_jax.cli")


@dataclasses.dataclass(frozen=True)
class Part:
    """A command, what it answers, and the most minutes that it may take.

    words: of the command; {folder} is the folder of results.
    timed: whether it is a run of `mugv-jax generate`, whose messages tell times and memory.
    """

    name: str
    answers: str
    minutes: float
    words: tuple[str, ...]
    timed: bool = False


def parts(options: Options) -> tuple[Part, ...]:
    """All parts, the most worth knowing first."""
    whole = options.size == "full"
    on = ("--device", options.device, "--size", options.size)
    model = ("--config", "mugv_10b" if whole else "mugv_debug")
    clip = ("--size", "1280x720", "--frames", "5s") if whole else ("--size", "64x64", "--frames=9")
    steps = 4 if whole else 3

    def suite(name: str, minutes: float, answers: str, *more: str) -> Part:
        file = ("--output", f"{{folder}}/{name}.json")
        suites = (sys.executable, "-m", "tools.benchmark", "--suite")
        return Part(name, answers, minutes, (*suites, *(more or (name,)), *on, *file))

    def video(
        name: str, minutes: float, answers: str, *more: str, prompts: Sequence[str] = PROMPTS[:1]
    ) -> Part:
        words = (
            *MUGV, "generate", *prompts, "--random-weights", *model, *clip, *more,
            "--steps", str(steps), "--output", f"{{folder}}/{name}.mp4", "--overwrite",
            "--log-json", f"{{folder}}/{name}.jsonl",
        )  # fmt: skip
        return Part(name, answers, minutes, words, timed=True)

    golden = (*MUGV, "verify", "tests/golden/mugv", "--dtype")
    found = [
        Part("golden-float32", "published numbers, float32", 4, (*golden, "float32")),
        Part("golden-bfloat16", "published numbers, bfloat16", 4, (*golden, "bfloat16")),
        suite("kernels", 10, "attention and modulation, every implementation"),
        video("int8", 8, "seconds a step and peak of the whole model in 8 bits",
              "--quantize", "int8"),
        video("few-steps", 8, "a whole video in few steps, the second of two",
              "--quantize", "int8", "--guidance", "1", "--fast-decode", prompts=PROMPTS),
        suite("block", 6, "one block forward and backward, and in 8 bits"),
        suite("dit-slice", 6, "a slice of the blocks", "forward", "--cases", "dit-slice"),
        suite("train", 8, "training step, MFU"),
        suite("vae", 6, "encoder and decoder"),
        suite("text", 3, "T5", "forward", "--cases", "text-encoder"),
        suite("startup", 4, "compiling and reading weights"),
    ]  # fmt: skip
    if options.device == "cuda":
        cudnn = video("cudnn", 8, "the same with cuDNN's attention",
                      "--quantize", "int8", "--attention", "cudnn")  # fmt: skip
        found.insert(5, cudnn)
    return tuple(found)


def run(
    options: Options, folder: Path, minutes: float, only: Sequence[Part] | None = None
) -> list[str]:
    """Runs the parts that have not finished, and returns the advice.

    only: these parts in place of all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun, ledger = time.monotonic(), _ledger(folder)
    for part in parts(options) if only is None else only:
        if ledger.get(part.name, {}).get("status") == DONE:
            continue
        left = 60 * minutes - (time.monotonic() - begun)
        if left < LEAST_S:
            ended: Row = {"status": SKIPPED}
        else:
            sys.stderr.write(f"{part.name}: {part.answers}\n")
            ended = _ended(part, folder, min(60 * part.minutes, left))
        ledger[part.name] = ended | {"answers": part.answers}
        write_whole(folder / LEDGER, (json.dumps(ledger, indent=1) + "\n").encode())
        sys.stderr.write(f"{part.name}: {_told(ended)}\n")
    return advice(folder)


def _ledger(folder: Path) -> dict[str, Row]:
    file = folder / LEDGER
    return json.loads(file.read_text()) if file.exists() else {}


def _ended(part: Part, folder: Path, limit_s: float) -> Row:
    """Runs one part, for at most `limit_s` seconds; how it ended, and what it measured."""
    words = [word.replace("{folder}", str(folder)) for word in part.words]
    for stale in (folder / f"{part.name}.json", folder / f"{part.name}.jsonl"):
        stale.unlink(missing_ok=True)
    log, begun, status = folder / f"{part.name}.log", time.monotonic(), DONE
    with log.open("wb") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = LIMIT
        finally:
            _end(process)
    if status == DONE and process.returncode:
        status = FAILED
    row: Row = {"status": status, "seconds": round(time.monotonic() - begun, 1)}
    if status != DONE:
        row |= {"exit": process.returncode, "said": log.read_text(errors="replace")[-SAID:]}
    if part.timed:
        row |= _of_messages(folder / f"{part.name}.jsonl")
    return row


def _end(process: subprocess.Popen) -> None:
    """Ends a process and its children, with time to clean up."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                continue


def _of_messages(file: Path) -> Row:
    """Figures of `mugv-jax generate`, of which only the first video compiles.

    Seconds a step without compilation, seconds of denoising and decoding the last video, and peak
    memory.
    """
    found: Row = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        event = json.loads(line)
        message, task = event.get("message", ""), event.get("task", "").partition(" ")[0]
        if task in STAGES and event["done"] == event["total"]:
            found[f"{task}_s"] = round(event["elapsed_s"], 2)
        rate = re.search(r"denoising.* ([\d.]+) (steps/s|s/step)", message)
        peak = re.search(r"peak memory of [^:]+: ([\d.]+) GiB", message)
        if rate:
            per_step = float(rate[1]) if rate[2] == "s/step" else 1 / float(rate[1])
            found["seconds_per_step"] = round(per_step, 4)
        if peak:
            found["peak_gib"] = float(peak[1])
    return found


def _told(ended: Row) -> str:
    """How a part ended, in a line."""
    measured = {"seconds_per_step": "s a step", "peak_gib": "GiB at most"}
    measured |= {f"{stage}_s": f"s {stage}" for stage in STAGES}
    figures = [f"{ended[key]:g} {unit}" for key, unit in measured.items() if key in ended]
    seconds = f" after {ended['seconds']:g} s" if "seconds" in ended else ""
    return ", ".join([ended["status"] + seconds, *figures])


def rows_of(folder: Path) -> Iterator[Row]:
    """Rows of all suites in a folder of results, in the order of their files' names."""
    for file in sorted(folder.glob("*.json")):
        if file.name != LEDGER:
            yield from json.loads(file.read_text())["rows"]


def advice(folder: Path) -> list[str]:
    """Lines that say which of our implementations the figures argue for, task by task.

    An implementation is preferred if it is faster than each other one by more than NOTABLE and both
    spreads.
    """
    tasks: dict[str, list[Row]] = {}
    for row in rows_of(folder):
        if row["ours"] and "median_s" in row:
            tasks.setdefault(row["task"], []).append(row)
    lines = [_preferred(task, rows) for task, rows in tasks.items() if len(rows) > 1]
    known, wholes = _ledger(folder), ("int8", "cudnn")
    timed = {name: known[name]["seconds_per_step"] for name in wholes
             if "seconds_per_step" in known.get(name, {})}  # fmt: skip
    if len(timed) > 1:
        shown = ", ".join(f"{name} {seconds:g}" for name, seconds in timed.items())
        lines.append(f"whole model, seconds a step: {shown}")
    missing = [f"{name} ({row['status']})" for name, row in known.items() if row["status"] != DONE]
    return lines + ([f"not finished: {', '.join(missing)}"] if missing else [])


def _preferred(task: str, rows: list[Row]) -> str:
    best, *others = sorted(rows, key=lambda row: row["median_s"])
    second = others[0]
    shown = ", ".join(f"{_short(row)} {row['median_s'] * 1e3:.3g} ms" for row in (best, *others))
    margin = 1 - best["median_s"] / second["median_s"]
    if margin > NOTABLE + _spread(best) + _spread(second):
        return f"{task}: {_short(best)} ({shown})"
    return f"{task}: no difference that counts ({shown})"


def _short(row: Row) -> str:
    return row["variant"].removeprefix("ours: ")


def _spread(row: Row) -> Any:
    return row.get("spread") or 0.0
