# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Runs cases in separate processes and receives their rows as they are measured.

The peaks of memory are then those of the case alone, and if a process ends early, its rows up to
that point are kept. After SIGTERM the samples that were taken are reported, and none is added.
"""

import dataclasses
import importlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from tools.benchmarks import ceilings, measure
from tools.benchmarks.setting import Options, Setting, environment, set_up
from tools.benchmarks.suites import CASES

Row = dict[str, Any]


def case_rows(names: Sequence[str], options: Options) -> Iterator[Row]:
    """Rows of cases that share a process; a failure is a row with the reason.

    A failed call can leave the GPU unusable for its process, so after a case with a failure the
    remaining ones get a new process.
    """
    left = list(names)
    while left and not measure.stopped():
        finished = 0
        for message in _in_process(_send_cases, left[0], left, options):
            if message is None:
                finished += 1
            else:
                yield message
        del left[: max(1, finished)]


def measured_ceilings(options: Options) -> Row:
    """Environment and ceilings, or {"failed": reason}."""
    return next(_in_process(_send_ceilings, "ceilings", options))


def _in_process(function: Callable, name: str, *args: Any) -> Iterator[Row | None]:
    """Rows sent by `function` in a new process, and one more if the process ends abnormally."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=function, args=(sender, *args))
    process.start()
    sender.close()

    def end(*_: Any) -> None:
        measure.stop()
        process.terminate()  # which handles it likewise

    previous = signal.signal(signal.SIGTERM, end)
    try:
        while True:
            yield receiver.recv()
    except EOFError:
        process.join()
    finally:
        signal.signal(signal.SIGTERM, previous)
    if process.exitcode:
        ended = f"its process ended with status {process.exitcode} (out of memory?)"
        yield _failed(name, ended)


def _failed(name: str, why: str) -> Row:
    return {"task": name, "variant": "", "ours": True, "failed": why}


def _send_ceilings(rows: Connection, options: Options) -> None:
    set_up(options)
    setting = Setting(options)
    rows.send(
        {"environment": environment(setting.device)}
        | ceilings.measure_ceilings(setting.device, setting.dtype, setting.size)
    )


def _send_cases(rows: Connection, names: Sequence[str], options: Options) -> None:
    """Send the rows of each case, and None after each case."""
    signal.signal(signal.SIGTERM, measure.stop)
    set_up(options)
    for name in names:
        failures = 0
        for row in _measured(name, options):
            rows.send(row)
            failures += "failed" in row
        rows.send(None)
        if failures or measure.stopped():
            return


def _measured(name: str, options: Options) -> Iterator[Row]:
    setting = Setting(options)
    profile = None if options.profile is None else Path(options.profile)
    try:
        for task in importlib.import_module(f"tools.benchmarks.{CASES[name]}").tasks(name, setting):
            if isinstance(task, dict):  # already measured
                yield task
                continue
            if options.variants is not None:
                chosen = [each for each in task.variants if each.name in options.variants]
                task = dataclasses.replace(task, variants=chosen)
            yield from measure.measure(task, options.repeats, setting.device, profile)
            if measure.stopped():
                return
            torch.cuda.empty_cache()
    except Exception as error:  # the report names it, and the next case runs
        yield _failed(name, measure.reason(error))
