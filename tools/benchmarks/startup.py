# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Startup times: compiling the first step, and reading weights.

The step is the sampler's guided one, compiled in a new process with an empty cache on disk (cold),
and again with the cache filled (warm). Weights are read after the cached pages of the files have
been dropped, and compared with reading the same files as plain bytes.
"""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import torch

from mugv_jax.commands.runtime import keep_compiled
from mugv_jax.compile.steps import compile_sampler_step
from mugv_jax.sharding import mesh as meshes
from mugv_jax.weights.convert import convert
from mugv_jax.weights.load import load
from mugv_jax.weights.tables import mugv_dit
from tools.benchmarks.exchange import build
from tools.benchmarks.published import published, train_config
from tools.benchmarks.setting import Options, Setting, set_up
from tools.torch_reference import MUGDiT

READ_BYTES = 16 * 2**20
SAMPLES = 3


def tasks(name: str, setting: Setting) -> Iterator[dict[str, Any]]:
    """Measured rows of compile times or of reading weights."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "compile":
            yield from _compile_rows(setting, folder)
        else:
            yield from _weight_rows(setting, Path(folder))


def _compile_rows(setting: Setting, folder: str) -> Iterator[dict[str, Any]]:
    size = setting.size
    sizes = {"width": size.width, "depth": size.depth, "tokens": size.tokens}
    context = multiprocessing.get_context("spawn")
    for name in ("cold", "warm"):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_compile, args=(sender, setting.options, folder))
        process.start()
        sender.close()
        seconds = receiver.recv()
        process.join()
        row = _row("compile sampler step", f"ours: {name}", ours=True, samples=[seconds])
        yield row | {"sizes": sizes, "value": seconds, "unit": "s"}


def _compile(sender: Any, options: Options, folder: str) -> None:
    """Send the seconds of tracing, lowering and compiling, without imports and device start."""
    set_up(options)
    keep_compiled(folder)
    setting = Setting(options)
    model = mugv_dit.config_from_published(published(setting, setting.size.depth))
    config = train_config(setting, model)
    mesh = meshes.make_mesh()
    start = time.perf_counter()
    compile_sampler_step(config, mesh, setting.size.latent, rows=1)
    sender.send(time.perf_counter() - start)


def _weight_rows(setting: Setting, folder: Path) -> Iterator[dict[str, Any]]:
    """Our reader on both formats, and PyTorch's reader on PyTorch's format."""
    file, orbax = folder / "dit.pt", folder / "dit"
    arguments = published(setting, setting.size.weights_depth)
    reference = build(lambda: MUGDiT(**arguments), torch.device("cpu"), setting.dtype)
    torch.save(reference.state_dict(), file)
    del reference
    convert(file, orbax)
    readers: dict[tuple[str, Path], dict[str, Callable[[Path], Any]]] = {
        ("read dit.pt", file): {"ours": _read_ours, "PyTorch": _read_theirs(setting)},
        ("read Orbax folder", orbax): {"ours": _read_ours},
    }
    for (task, path), variants in readers.items():
        size = sum(each.stat().st_size for each in _files(path))
        plain = size / statistics.median(_samples(_read_plain, path)) / 1e9
        for name, read in variants.items():
            row = _row(task, name, ours=name == "ours", samples=_samples(read, path))
            value = size / row["median_s"] / 1e9
            yield row | {"sizes": {"bytes": size}, "value": value, "unit": "GB/s", "ceiling": plain}


def _row(task: str, variant: str, *, ours: bool, samples: list[float]) -> dict[str, Any]:
    row = {"task": task, "variant": variant, "ours": ours, "samples_s": samples}
    return row | {"median_s": statistics.median(samples)}


def _samples(read: Callable[[Path], Any], path: Path) -> list[float]:
    samples = []
    for _ in range(SAMPLES):
        _drop_cached(path)
        start = time.perf_counter()
        read(path)
        samples.append(time.perf_counter() - start)
    return samples


def _read_ours(path: Path) -> None:
    jax.block_until_ready(load(path, "mugv_dit")[1])


def _read_theirs(setting: Setting) -> Callable[[Path], None]:
    def read(path: Path) -> None:
        torch.load(path, map_location=setting.device, weights_only=True)
        if setting.on_gpu:
            torch.cuda.synchronize()

    return read


def _read_plain(path: Path) -> None:
    buffer = bytearray(READ_BYTES)
    for file in _files(path):
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]


def _drop_cached(path: Path) -> None:
    """Write the files' pages back and drop them from the system's cache."""
    for file in _files(path):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
