# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import os
import shlex

import jax
import numpy as np
import pytest
from PIL import Image

from mugv_jax import cli
from mugv_jax.commands import data
from mugv_jax.data.caption_field import CaptionField
from mugv_jax.data.column_field import ColumnField
from mugv_jax.data.encode import Encoded
from mugv_jax.data.fields import TextField, flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.systems.mugv.models import demo_weights
from tests.data.folders import FLOW, PAIR, write_folder, write_pairs
from tests.systems.mugv.folders import write_config

ENCODE = (
    "encode captions.csv --out samples --random-weights --config small.py --pixels 1024 "
    "--compile-cache cache"
)


@pytest.fixture(autouse=True)
def _inside(tmp_path, monkeypatch):
    """Runs every test in a folder with two pictures, a broken one, and their captions."""
    monkeypatch.chdir(tmp_path)
    for name, color in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        Image.new("RGB", (48, 40), color).save(f"{name}.png")
    (tmp_path / "broken.png").write_text("no picture")
    (tmp_path / "captions.csv").write_text(
        "path,caption\nred.png,a red wall\nbroken.png,nothing\nblue.png,a blue wall\n"
    )
    write_config(tmp_path / "small.py")


def run(capsys, options: str) -> tuple[int, str]:
    """Exit status and stderr."""
    try:
        status = cli.main(["data", *shlex.split(options)])
    except SystemExit as stopped:
        status = stopped.code
    return status, capsys.readouterr().err


def test_captions_become_samples_that_pack(capsys, tmp_path):
    status, printed = run(capsys, ENCODE)
    assert status == 0
    assert "The weights are random: nothing can be learnt" in printed
    assert "3 of 3 samples are to be encoded" in printed  # broken files are found later
    assert "samples: 2 samples done here, 2 in train.csv." in printed
    assert "1 file was skipped:\n  broken: image 'broken.png' cannot be opened" in printed
    samples = open_samples(tmp_path / "samples", flow_fields())
    assert samples.names == ("red", "blue")
    np.testing.assert_array_equal(samples.shapes, [(1, 4, 4)] * 2)
    status, printed = run(capsys, "pack samples packed --shards 1 --latent-dtype bfloat16")
    assert (status, "wrote packed" in printed) == (0, True)
    packed = open_samples(tmp_path / "packed", flow_fields())
    assert packed.names == samples.names
    np.testing.assert_array_equal(packed[1]["text"].states, samples[1]["text"].states)
    status, printed = run(capsys, "pack samples packed")
    assert (status, printed.count("\n")) == (2, 1)
    assert "packed exists; pass --overwrite to replace it." in printed


def test_pairs_with_labels_are_packed_by_name(capsys, tmp_path):
    write_pairs(tmp_path / "set")
    more = "--latent lose --number label --caption caption --column source"
    status, _ = run(capsys, f"pack set packed {more} --shards 1")
    assert status == 0
    fields = (*PAIR, CaptionField("caption"), ColumnField("source"))
    samples = open_samples(tmp_path / "packed", fields)
    assert list(samples[1].values) == [field.name for field in fields]
    for where in ("set", "packed"):
        sample = open_samples(tmp_path / where, fields)[1]
        assert sample["caption"] == "/1 is no path"
        assert sample["source"] in ("real", "generated")
    status, printed = run(capsys, "pack set other --latent win --number rank")
    assert (status, printed.count("\n")) == (2, 1)
    assert "lacks the column win_path, rank; it needs" in printed


def test_samples_may_lack_a_second_caption(capsys, tmp_path):
    write_pairs(tmp_path / "set")
    csv = tmp_path / "set" / "train.csv"
    header, first, *rest = csv.read_text().splitlines()
    text = dict(zip(header.split(","), first.split(",")))["text_feat_path"]
    lines = [f"{header},text_short_feat_path", f"{first},{text}", *(f"{row}," for row in rest)]
    csv.write_text("\n".join(lines) + "\n")
    status, _ = run(capsys, "pack set packed --text text_short --shards 1")
    assert status == 0
    field = TextField("text_short", optional=True)
    for where in ("set", "packed"):
        samples = open_samples(tmp_path / where, (*FLOW, field))
        np.testing.assert_array_equal(samples[0]["text_short"].states, samples[0]["text"].states)
        width = samples[0]["text"].states.shape[1]
        assert samples[1]["text_short"].states.shape == (0, width)
        assert samples[1]["text_short"].mask.size == 0
    status, printed = run(capsys, "pack set other --text text_long")
    assert (status, printed.count("\n")) == (2, 1)
    assert "no row has a text_long_feat_path; fill it" in printed


def test_interleaved_sources_are_described_each(capsys, tmp_path):
    write_pairs(tmp_path / "set")
    values = {
        "dit.text_dim": 8, "text.width": 8, "data.holdout": 0,
        "objective.sources.labels.share": 0, "objective.sources.clips.share": 0,
        "objective.sources.pairs.share": 2, "objective.sources.real.share": 1,
        "objective.sources.pairs.paths": "('set',)", "objective.sources.real.paths": "('set',)",
    }  # fmt: skip
    options = " ".join(
        f"--config.{name}={shlex.quote(str(value))}" for name, value in values.items()
    )
    assert (
        cli.main(["data", *shlex.split(f"describe --config post/interleaved_demo {options}")]) == 0
    )
    printed = capsys.readouterr().out
    assert "source pairs, 2 batches in a cycle:" in printed
    assert "source real, 1 batches in a cycle:" in printed
    assert printed.count("latent shape") == 2


def test_bad_files_end_the_run_past_their_limit(capsys):
    status, printed = run(capsys, f"{ENCODE} --max-bad 0")
    assert status == 2
    assert "mugv-jax data: more than max bad=0 files cannot be used" in printed
    assert "broken: image 'broken.png' cannot be opened" in printed


@pytest.mark.parametrize("content", [None, "no picture"])
def test_a_list_of_which_no_file_can_be_used_is_an_error(content, capsys, tmp_path):
    for name in ("red.png", "blue.png", "broken.png"):
        (tmp_path / name).unlink()
        if content is not None:
            (tmp_path / name).write_text(content)
    status, printed = run(capsys, ENCODE)
    assert status == 2
    assert "no file of the list can be used. 3 are bad:\n  red: " in printed
    assert not (tmp_path / "samples" / "train.csv").exists()


def test_without_weights_the_demo_encodes(capsys, monkeypatch):
    used = []

    def note(_captions, _out, models, _config):
        used.append(models.sources)
        return Encoded(finished=1, rows=1, bad=())

    monkeypatch.setattr(data, "encode", note)
    status, printed = run(capsys, "encode captions.csv --out samples --compile-cache cache")
    assert status == 0
    assert "No --weights, so the demo model is used." in printed
    assert used[0]["vae"].parent == demo_weights()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "the following arguments are required: action"),
        ("pack", "the following arguments are required: SRC, DST"),
        ("pack missing out", "samples 'missing': does not exist"),
        ("pack . out", "samples '.': holds neither train.csv nor dataset_info.json"),
        ("pack set out --shards 0", "shards=0 must be at least 1"),
        ("pack set out --latent-dtype float16", "latent dtype 'float16' must be one of"),
        ("encode captions.csv", "the following arguments are required: -o/--output"),
        (f"{ENCODE} --size 32x32", "argument --size: not allowed with argument --pixels"),
        (f"{ENCODE} --size 32x32".replace("--pixels 1024", "").replace("32x", "30x"), "multiples"),
        (f"{ENCODE} --pixels 0", "pixels=0 must be at least 256"),
        (f"{ENCODE} --fps 0", "fps=0.0 must lie above 0"),
        (f"{ENCODE} --max-frames soon", "frames 'soon' must be a whole number"),
        (f"{ENCODE} --seed 1", "--seed is that of --sample-posterior"),
        (f"{ENCODE} --shard-index 1", "--shard-index and --shard-count: give both or none"),
        (f"{ENCODE} --shard-index 1 --shard-count 1", "shard index=1 of shard count=1"),
        (f"{ENCODE} --text-batch 0", "text_batch=0 must be at least 1"),
        (f"{ENCODE} --vae-tile 100", "vae tile=100 must be a multiple of 8"),
        (f"{ENCODE} --weights .", "--weights and --random-weights exclude each other"),
        (ENCODE.replace("captions.csv", "list.txt"), "captions 'list.txt': does not exist"),
        (ENCODE.replace("--random-weights", ""), "has other sizes than the config"),  # the demo's
    ],
)
def test_a_mistake_is_one_line(options, message, capsys, tmp_path):
    write_folder(tmp_path / "set")
    status, printed = run(capsys, options)
    assert status == 2
    assert message in printed
    assert printed.splitlines()[-1].startswith("mugv-jax data")
    assert "Traceback" not in printed
    assert not os.path.exists("out")
    assert not os.path.exists("samples/train.csv")


def test_a_device_without_memory_is_one_line(capsys, monkeypatch):
    def full(*_args, **_options):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")

    monkeypatch.setattr(data, "encode", full)
    status, printed = run(capsys, ENCODE)
    assert status == 2
    assert "the device ran out of memory: make --pixels or --size, or --text-batch" in printed
