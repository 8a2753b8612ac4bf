# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""`mugv-jax data serve`: an encoding server for trainers."""

import argparse
import contextlib
import dataclasses
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

from mugv_jax import interrupts
from mugv_jax.commands.encoding import (
    add_clips,
    add_encoders,
    add_work,
    encode_config,
    load_encoders,
)
from mugv_jax.commands.options import add_output, add_overwrite, add_path, add_value, local_path
from mugv_jax.commands.runtime import keep_compiled, out_of_memory
from mugv_jax.data.bad_sample import listed
from mugv_jax.data.captions import read_captions
from mugv_jax.data.encode import EncodeConfig, settings_of
from mugv_jax.data.encoded import FILES, EncodedFolder
from mugv_jax.data.replacing import replacing
from mugv_jax.data.samples import CSV
from mugv_jax.data.serve.protocol import check_listen
from mugv_jax.files import SAMPLES, check_output_folder
from mugv_jax.systems.encoding import SampleEncoder

log = logging.getLogger(__name__)

LISTEN = "127.0.0.1:5151"
EXAMPLES = """examples:
  mugv-jax data serve clips.csv --weights weights --size 720p -o samples --listen 0.0.0.0:5151
  mugv-jax train --config mugv_10b --config.data.paths="('server://encoder:5151',)" --output run

There is no authentication: let only the trainers' network reach the port.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.set_defaults(run=run)
    parser.epilog = EXAMPLES
    captions = "list or folder of videos with captions, as of `data encode`"
    add_path(parser, "captions", captions, "CAPTIONS", type=local_path)
    output = "folder of the samples, as `data encode` fills it; what is there is not encoded again"
    add_output(parser, output, "FOLDER", type=local_path)
    add_overwrite(parser, "encode everything anew, also with other settings")
    add_value(parser, "--listen", LISTEN, "address that trainers connect to", metavar="HOST:PORT")
    add_clips(parser)
    add_work(parser)
    add_encoders(parser)


def run(args: argparse.Namespace) -> None:
    """Serve until SIGTERM or Ctrl-C; calls in progress get a few seconds.

    Raises:
        ValueError: a list, folder, models or an address that cannot be used.
    """
    check_listen(args.listen)
    config = encode_config(args)
    keep_compiled(args.compile_cache)
    models = load_encoders(args)
    check_output_folder(args.output, SAMPLES)
    anew = replacing(args.output, FILES, proof=CSV) if args.overwrite else contextlib.nullcontext()
    with anew:
        _serve(args, models, config)


def _serve(args: argparse.Namespace, models: SampleEncoder[Any], config: EncodeConfig) -> None:
    from mugv_jax.data.serve.encoder import Encoder
    from mugv_jax.data.serve.server import Server

    entries = read_captions(args.captions)
    if any(entry.short is not None for entry in entries):
        log.warning("short captions are not served; encode the list to train with them.")
        entries = [dataclasses.replace(entry, short=None) for entry in entries]
    folder = EncodedFolder(
        args.output, entries, settings_of(models, config),
        shard_index=config.shard_index, shard_count=config.shard_count,
    )  # fmt: skip
    with folder.only_process(), out_of_memory("make --pixels or --size smaller"):
        encoder = Encoder(folder, models, config)
        if encoder.bad:
            log.warning("%s", listed(encoder.bad, "file is left out", "files are left out"))
        with _until_a_signal() as ended, encoder, Server(encoder, args.listen) as server:
            host = args.listen.rpartition(":")[0]
            log.info("serving %d samples at server://%s:%d", len(encoder.rows), host, server.port)
            ended.wait()
        log.info("%s: %s.", args.output, encoder.summary)


@contextlib.contextmanager
def _until_a_signal() -> Iterator[threading.Event]:
    """Context with an event that SIGTERM and Ctrl-C set; a second signal ends the process."""
    ended = threading.Event()
    with interrupts.postponed() as obey:

        def handle(number: int, _: Any) -> None:
            obey(number)
            ended.set()

        before = {each: signal.signal(each, handle) for each in interrupts.SIGNALS}
        try:
            yield ended
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)  # None: not set by Python
