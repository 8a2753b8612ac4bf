# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import contextlib
import pickle
import re
import shutil
import signal
import socket
import threading

import numpy as np
import pytest

from mugv_jax import cli, interrupts
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.captions import read_captions
from mugv_jax.data.clips import ClipRule
from mugv_jax.data.encode import EncodeConfig, encode, settings_of
from mugv_jax.data.encoded import EncodedFolder
from mugv_jax.data.fields import LatentField, flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.serve import client
from mugv_jax.data.serve.client import Buffer, Connection, ServedSamples, fetch_empty_text
from mugv_jax.data.serve.encoder import Busy, Encoder
from mugv_jax.data.serve.protocol import address, check_listen
from mugv_jax.data.serve.server import Server
from mugv_jax.systems.mugv.models import MugvModels
from tests.data.real_clips import real_clip
from tests.systems.mugv.folders import SMALL

CONFIG = EncodeConfig(clip=ClipRule(fps=10, size=(32, 32), max_frames=17), text_batch=2)
ROWS = (
    "path,caption,id,start_s,end_s",
    "bikes.mp4,bicycles pass,first,0.5,2.5",
    "bikes.mp4,a van passes,second,3.1,5",
    "carphone.mp4,a man talks,,,",
    "missing.mp4,nothing,,,",
)


@pytest.fixture(scope="module")
def models():
    return MugvModels.random(SMALL, keep_loaded=True)


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(real_clip("bikes.mp4"), folder)
    shutil.copy(real_clip("carphone_pristine.mp4"), folder / "carphone.mp4")
    (folder / "captions.csv").write_text("\n".join(ROWS) + "\n")
    return folder / "captions.csv"


@pytest.fixture(autouse=True)
def small_waits(monkeypatch):
    monkeypatch.setattr(client, "WAITS_S", (0.02, 0.1))


@contextlib.contextmanager
def serving(captions, out, models, listen="127.0.0.1:0"):
    folder = EncodedFolder(
        out, read_captions(captions), settings_of(models, CONFIG), shard_index=0, shard_count=1
    )
    with Encoder(folder, models, CONFIG) as encoder, Server(encoder, listen) as server:
        yield encoder, server


def same(a, b):
    assert a.name == b.name
    np.testing.assert_array_equal(a["latent"], b["latent"])
    np.testing.assert_array_equal(a["text"].states, b["text"].states)
    assert a["fps"] == b["fps"]


def test_served_samples_are_those_of_the_encoded_folder(captions, models, tmp_path):
    encode(captions, tmp_path / "files", models, CONFIG)
    files = open_samples(tmp_path / "files", flow_fields())
    with serving(captions, tmp_path / "served", models) as (encoder, server):
        where = f"server://127.0.0.1:{server.port}"
        served = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        assert not encoder.encoded  # shapes are known before anything is encoded
        assert served.names == files.names
        assert served.fields == files.fields
        np.testing.assert_array_equal(served.shapes, files.shapes)
        assert len(served.bad) == 1
        assert "missing.mp4" in served.bad[0]
        copies = pickle.loads(pickle.dumps(served))
        for index in (2, 0, 1):
            same(copies[index], files[index])
        empty = fetch_empty_text(where, tmp_path / "buffer")
        assert empty.read_bytes() == (tmp_path / "files" / "empty_text.pt").read_bytes()
    with serving(captions, tmp_path / "served", models) as (encoder, server):
        again = ServedSamples(
            f"server://127.0.0.1:{server.port}", flow_fields(), buffer=tmp_path / "other"
        )
        same(again[1], files[1])
        assert encoder.encoded == 0  # it is in the folder
        assert encoder.summary == ("encoded 0 samples; 2 files asked for that were there already")


def test_the_folder_of_a_server_is_that_of_data_encode(captions, models, tmp_path):
    encode(captions, tmp_path / "files", models, CONFIG)
    with serving(captions, tmp_path / "served", models) as (encoder, server):
        where = f"server://127.0.0.1:{server.port}"
        served = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        served.buffer.fetch(encoder.rows[1]["latent"])  # its caption comes with the first sample's
        for index in range(3):
            served[index]
        fetch_empty_text(where, tmp_path / "buffer")
        assert encoder.encoded == 3
        assert re.match(
            r"encoded 3 samples in 0:\d\d \(\S+ (samples/s|s/sample)\); ", encoder.summary
        )
    for lost in (tmp_path / "served/train.csv", *tmp_path.glob("served/parts/*.csv")):
        lost.unlink()  # as if the server had been killed before it wrote them
    with serving(captions, tmp_path / "served", models):
        pass
    contents = [
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (tmp_path / "served", tmp_path / "files")
    ]
    assert contents[0] == contents[1]


def test_files_of_another_folder_are_not_mixed_in(captions, models, tmp_path):
    with serving(captions, tmp_path / "first", models) as (_, server):
        where = f"server://127.0.0.1:{server.port}"
        served = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        served[0]
    with serving(captions, tmp_path / "second", models, where.removeprefix("server://")):
        with pytest.raises(ValueError, match="another folder of samples"):
            served[1]
        again = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        assert again.buffer.folder != served.buffer.folder


def test_a_trainer_waits_for_a_server_that_is_away(captions, models, tmp_path, caplog):
    with serving(captions, tmp_path / "served", models) as (_, server):
        port = server.port
        where = f"server://127.0.0.1:{port}"
        served = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        served[0]
    found, asked = [], threading.Thread(target=lambda: found.append(served[1]))
    asked.start()
    asked.join(0.3)
    assert asked.is_alive()
    assert f"waiting for {where}" in caplog.text
    with serving(captions, tmp_path / "served", models, f"127.0.0.1:{port}"):
        asked.join(60)
    assert found[0].name == "second"
    served[0]  # from the buffer, with no server there


def test_a_run_that_is_asked_to_stop_waits_no_longer():
    with interrupts.Watch() as watch:
        watch.saved = signal.SIGTERM
        with pytest.raises(client.ServerAway, match="is away"):
            Connection("server://127.0.0.1:1").about()


def test_the_buffer_keeps_the_newest_files(captions, models, tmp_path):
    with serving(captions, tmp_path / "served", models) as (encoder, server):
        where = f"server://127.0.0.1:{server.port}"
        served = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        served.buffer = Buffer(Connection(where), encoder.digest, tmp_path / "small", 1, kept=2)
        first = served[0]
        for index in (1, 2):
            served[index]
        assert len(list(served.buffer.folder.glob("*/*.pt"))) == 2
        same(served[0], first)


def test_what_cannot_be_served_is_named(captions, models, tmp_path):
    broken = tmp_path / "videos"
    shutil.copytree(captions.parent, broken)
    with serving(broken / "captions.csv", tmp_path / "served", models) as (_, server):
        where = f"server://127.0.0.1:{server.port}"
        served = ServedSamples(where, flow_fields(), buffer=tmp_path / "buffer")
        (broken / "carphone.mp4").write_bytes(b"no video any more")
        with pytest.raises(BadSample, match=r"carphone\.mp4.*damaged"):
            served[2]
        with pytest.raises(ValueError, match="is 24 wide, but the model reads 16"):
            ServedSamples(where, (LatentField("latent", channels=16),), buffer=tmp_path)
        with pytest.raises(ValueError, match="but no latent 'lose'"):
            ServedSamples(where, (*flow_fields(), LatentField("lose")), buffer=tmp_path)
        with pytest.raises(ValueError, match="no sample has the file"):
            served.buffer.fetch("../captions.csv")


@pytest.mark.parametrize("path", ["server://", "server://host", "server://:80", "server://h:x"])
def test_an_address_has_a_host_and_a_port(path):
    with pytest.raises(ValueError, match="must be server://HOST:PORT"):
        address(path)


def test_a_taken_port_is_refused(captions, models, tmp_path):
    with serving(captions, tmp_path / "served", models) as (encoder, server):
        taken = f"127.0.0.1:{server.port}"
        with pytest.raises(ValueError, match="cannot be used: address already in use"):
            Server(encoder, taken)


@pytest.mark.parametrize(
    "listen",
    ["nonsense", "5151", ":5151", "host:", "0.0.0.0:99999", "0.0.0.0:-1", "::1:80", "a/b:1"],
)
def test_an_address_to_listen_at_is_checked_before_anything_is_loaded(listen, capsys):
    words = ["data", "serve", "captions.csv", "--size", "32x32", "-o", "samples"]
    assert cli.main([*words, f"--listen={listen}"]) == 2
    printed = capsys.readouterr().err
    assert printed == (
        f"mugv-jax data: --listen={listen!r} must be HOST:PORT, such as 0.0.0.0:5151, with a port "
        "of 0 (a free one) to 65535.\n"
    )
    check_listen("[::1]:0" if socket.has_ipv6 else "localhost:0")


def test_seconds_of_work_leave_out_those_of_waiting(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("mugv_jax.data.serve.encoder.time.monotonic", lambda: now[0])
    busy = Busy()
    for inside, outside in ((2.0, 100.0), (3.0, 50.0)):
        with busy, busy:
            now[0] += inside
        now[0] += outside
    assert busy.seconds == 5.0
