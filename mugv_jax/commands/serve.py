# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax serve`: a server of videos with a page, and an API like OpenAI's."""

import argparse
import contextlib
import dataclasses
import functools
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

from mugv_jax.commands import enhancing
from mugv_jax.commands.listening import add_keys, add_listen, address_of, hosts_of, keys_of
from mugv_jax.commands.model_options import add_models
from mugv_jax.commands.options import (
    add_output,
    add_overwrite,
    add_path,
    add_switch,
    add_value,
    local_path,
    positive_number,
)
from mugv_jax.commands.processes import add_processes
from mugv_jax.commands.sampling import generators
from mugv_jax.commands.serving import examples_of, generator_of, loras_of, note_of, work_of
from mugv_jax.data.folder_lock import only_process
from mugv_jax.files import check_output_folder
from mugv_jax.serve.http.listen import Address
from mugv_jax.systems import NAMES

log = logging.getLogger(__name__)

LISTEN = "127.0.0.1:8000"
DESCRIPTION = """Serve videos: a page for people, and an API for programs, like OpenAI's.

Requests wait in a queue on disk, so nothing that was accepted is lost when the server is killed:
the same command goes on. Without --weights the demo is served."""
EXAMPLES = """examples:
  mugv-jax serve -o served
  mugv-jax serve -o served --weights MUG-V/MUG-V-inference --listen 0.0.0.0:8000 --keys keys.txt
  mugv-jax serve -o served --weights weights --enhance --loras adapters --batch 2 --keep-days 7

docs/serving.md has clients, all fields, and what to do before others may reach the server.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLES
    parser.set_defaults(failure="a process of a pod ended")
    output = "folder of the queue and the videos; the same one goes on where a server was stopped"
    add_output(parser, output, "FOLDER", type=local_path)
    add_overwrite(parser, "forget all requests and videos in the folder")
    parser.add_argument(
        "--model", choices=tuple(generators()), default=NAMES[0], help="[%(default)s]"
    )
    add_value(parser, "--title", "Videos", "title of the page", metavar="TEXT")
    add_keys(add_listen(parser, LISTEN))
    _add_work(parser)
    _add_limits(parser)
    add_models(parser)
    enhancing.add_arguments(parser)
    add_processes(parser)


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("work")
    batch = "videos of one shape that are made together, if so many wait: a power of two"
    add_value(group, "--batch", 1, batch, metavar="N")
    add_path(group, "--loras", "folder of adapters that requests may name", type=local_path)
    free = "free each model after its use, as `generate` does: less memory, seconds a video"
    add_switch(group, "--free-models", free)
    fast = "decode with the tiny decoder beside MUG-V's weights: faster, slightly different"
    add_switch(group, "--fast-decode", fast)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    add_value(group, "--queue", 200, "most requests that wait", metavar="N")
    for name, number, text in (
        ("--per-key", int, "most requests of one key that wait or are made [those of --queue]"),
        ("--max-pixels", int, "most pixels of a frame [those of the model's sizes]"),
        ("--max-frames", int, "most frames of a video [those of the model's lengths]"),
        ("--keep-days", positive_number, "remove videos after so many days [never]"),
        ("--keep-count", int, "keep so many videos, the newest [all]"),
    ):
        group.add_argument(name, type=number, metavar="N", help=text)
    minute = "requests of one key in a minute"
    add_value(group, "--per-minute", 240.0, minute, type=positive_number, metavar="N")
    add_value(group, "--max-steps", 100, "most denoising steps", metavar="N")
    add_value(group, "--upload-mb", 64, "most megabytes of the files of a request", metavar="N")


def run(args: argparse.Namespace) -> int:
    """Check all options, start a worker, and serve until SIGTERM or Ctrl-C.

    Raises:
        ValueError: options, a folder, models or an address that cannot be used.
    """
    address = address_of(args)
    keys = keys_of(args, address)
    _check(args)
    from mugv_jax.serve.videos.offer import Limits, Offer
    from mugv_jax.serve.videos.retention import Retention
    from mugv_jax.serve.videos.server import ServerConfig, VideoServer
    from mugv_jax.serve.videos.workers import start_worker

    limits = Limits(
        queue=args.queue,
        per_key=args.queue + 1 if args.per_key is None else args.per_key,
        per_minute=args.per_minute,
        upload_bytes=args.upload_mb * 2**20,
        pixels=args.max_pixels,
        frames=args.max_frames,
        steps=args.max_steps,
    )
    offer = Offer(
        generator_of(args), limits, loras=list(loras_of(args)), enhance=args.enhance,
        examples=examples_of(args), note=note_of(args),
    )  # fmt: skip
    config = ServerConfig(
        title=args.title,
        batch=args.batch,
        keys=keys,
        hosts=hosts_of(args, address),
        retention=Retention(args.keep_days, args.keep_count),
    )
    start = functools.partial(start_worker, work_of, _plain(args))
    pod, lost = args.distributed or args.processes is not None, []
    check_output_folder(args.output)
    with contextlib.ExitStack() as stack:
        # On a pod it is known later which process serves.
        listener = None if pod else stack.enter_context(_claimed(args, address))
        first = _started(start)
        if not first.leads:
            first.process.join()
            return 1
        listener = listener or stack.enter_context(_claimed(args, address))
        again = functools.partial(_end_pod, lost) if pod else start
        server = VideoServer(args.output, offer, config, again, first)
        bound = dataclasses.replace(address, port=listener.getsockname()[1])
        log.info("serving %s at %s", offer.model, bound.url)
        server.run(listener)
    return 1 if lost else 0


@contextlib.contextmanager
def _claimed(args: argparse.Namespace, address: Address) -> Iterator[socket.socket]:
    """The folder and the address for this process alone: a socket that listens.

    Raises:
        ValueError: another process has one of them.
    """
    from mugv_jax.serve.videos.places import Places

    with address.bound() as listener, only_process(args.output):
        if args.overwrite:
            Places(args.output).clear()
        yield listener


def _check(args: argparse.Namespace) -> None:
    """Raise a ValueError for numbers that no server can have."""
    for name in (
        "queue",
        "per_key",
        "max_pixels",
        "max_frames",
        "max_steps",
        "upload_mb",
        "keep_count",
    ):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name.replace('_', '-')}={value} must be at least 1.")
    if args.batch < 1 or args.batch & (args.batch - 1):
        raise ValueError(f"--batch={args.batch} must be a power of two, such as 1, 2 or 4.")
    for name, owner in (("text_encoder", "mugv"), ("tokenizer", "mugv"), ("fast_decode", "mugv")):
        if args.model != owner and getattr(args, name):
            raise ValueError(f"--{name.replace('_', '-')} is of --model {owner}.")


def _plain(args: argparse.Namespace) -> dict[str, Any]:
    """Parsed options that another process can have."""
    return {name: value for name, value in vars(args).items() if name not in ("parser", "run")}


def _started(start: Any) -> Any:
    """The first worker.

    Raises:
        ValueError: it cannot start.
    """
    try:
        return start()
    except ChildProcessError as error:
        raise ValueError(f"the worker cannot start: {error} Its messages say why.") from error


def _end_pod(lost: list[bool]) -> Any:
    """End the server, since a pod that has lost a process must be started as a whole."""
    lost.append(True)
    os.kill(os.getpid(), signal.SIGTERM)
    raise ChildProcessError("a process of the pod is gone; start all of them again.")
