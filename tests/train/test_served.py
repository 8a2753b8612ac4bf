# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training from an encoding server equals training from the files of `data encode`, bit for bit."""

import contextlib
import shutil
import threading

import jax
import numpy as np

from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule
from mugv_jax.data.encode import EncodeConfig, encode, settings_of
from mugv_jax.data.encoded import EncodedFolder
from mugv_jax.data.serve import client
from mugv_jax.data.serve.encoder import Encoder
from mugv_jax.data.serve.server import Server
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv.models import MugvModels
from mugv_jax.train.checkpoint import FOLDER, Checkpoints
from mugv_jax.train.diffusion import make_program, train
from mugv_jax.train.inputs import abstract_null_text
from tests.data.real_clips import real_clip
from tests.systems.mugv.folders import SMALL
from tests.train.runs import tiny

CONFIG = EncodeConfig(clip=ClipRule(fps=10, size=(32, 32), max_frames=17), text_batch=2)
STEPS, SAVED = 6, 3


@contextlib.contextmanager
def serving(captions, out, models, listen="127.0.0.1:0"):
    folder = EncodedFolder(
        out, read_captions(captions), settings_of(models, CONFIG), shard_index=0, shard_count=1
    )
    with Encoder(folder, models, CONFIG) as encoder, Server(encoder, listen) as server:
        yield encoder, server


def run(samples, folder):
    """The state at the end of a run."""
    width, device = SMALL.text.width, jax.devices()[:1]
    overrides = (f"dit.text_dim={width}", f"text.width={width}", f"checkpoint.every={SAVED}")
    config = tiny(samples, f"run.steps={STEPS}", *overrides)
    assert train(config, folder, device, asked=("data.holdout", "checkpoint.every")) == STEPS
    mesh = config.mesh.make_mesh(device)
    program = make_program(config, mesh, abstract_null_text(config), abstract=True)
    with Checkpoints(folder / FOLDER, config.checkpoint) as checkpoints, meshes.use(mesh):
        state, _ = checkpoints.restore(STEPS, program)
    return {"params": state.params, "ema": state.ema, "opt": state.opt}


def same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_training_from_a_server_that_restarts_equals_training_from_files(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("HOME", str(tmp_path))  # the buffer is in the user's cache
    monkeypatch.setattr(client, "WAITS_S", (0.02, 0.1))
    models = MugvModels.random(SMALL, keep_loaded=True)
    captions = tmp_path / "captions.csv"
    rows = [f"{real_clip('bikes.mp4')},bicycle {i},clip-{i},{i / 2}" for i in range(12)]
    captions.write_text("\n".join(["path,caption,id,start_s", *rows]) + "\n")
    encode(captions, tmp_path / "files", models, CONFIG)
    expected = run(tmp_path / "files", tmp_path / "from_files")
    ports, left, ready, stop = [], [], threading.Event(), threading.Event()

    def serve_twice():
        with serving(captions, tmp_path / "served", models) as (encoder, server):
            ports.append(server.port)
            ready.set()
            while not encoder.encoded and not stop.wait(0.01):
                pass
        left.append(len(rows) - encoder.encoded)
        stop.wait(0.5)  # the trainer asks meanwhile
        with serving(captions, tmp_path / "served", models, f"127.0.0.1:{server.port}"):
            stop.wait()

    thread = threading.Thread(target=serve_twice)
    thread.start()
    try:
        assert ready.wait(60)
        where = f"server://127.0.0.1:{ports[0]}"
        same(run(where, tmp_path / "from_server"), expected)
        assert left[0] > 0  # the server went while samples were missing
        assert f"waiting for {where}" in caplog.text
        shutil.rmtree(tmp_path / f"from_server/checkpoints/{STEPS}")  # as if killed before
        same(run(where, tmp_path / "from_server"), expected)
    finally:
        stop.set()
        thread.join()
