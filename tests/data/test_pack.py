# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
import torch

from mugv_jax.data import pack as packing
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.empty_text import find_empty_text, read_empty_text
from mugv_jax.data.fields import LatentField, NumberField, flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.pack import MugvSamples, pack
from mugv_jax.data.packed import INDEX
from mugv_jax.data.samples import EMPTY_TEXT, Sample, SampleSource
from tests.data.folders import FLOW, PAIR, SHAPES, TEXT_DIM, write_folder, write_pairs

# bfloat16 keeps 8 bits of the mantissa.
BFLOAT16_RTOL = 2**-8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    write_folder(folder, sources=("real", "generated"))
    shutil.copy(folder / "text_features" / "clip_0_text.pt", folder / EMPTY_TEXT)
    return folder


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("packed") / "set"
    assert pack(folder, target, FLOW, shards=2) == ()
    return target


def assert_same(left, right):
    assert left.name == right.name
    assert list(left.values) == list(right.values)
    for ours, theirs in zip(map(parts, left.values.values()), map(parts, right.values.values())):
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def parts(value):
    """States and mask of a text, or the one array that another value is."""
    return value if isinstance(value, tuple) else (np.asarray(value),)


def test_packed_samples_equal_their_source_one_by_one(folder, packed):
    source, samples = open_samples(folder, FLOW), open_samples(packed, FLOW)
    assert isinstance(samples, SampleSource)
    assert (samples.names, samples.fields, samples.bad) == (source.names, source.fields, ())
    assert samples.shapes.dtype == np.int32
    np.testing.assert_array_equal(samples.shapes, SHAPES)
    for number in (3, 0, 4, 1, 2):  # random access
        assert_same(samples[number], source[number])
    with pytest.raises(IndexError):
        samples[len(samples)]
    ours, theirs = (read_empty_text(find_empty_text(path)) for path in (packed, folder))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)
    assert find_empty_text(packed).suffix == ".npz"  # which needs no PyTorch


def test_a_set_of_an_earlier_version_reads_the_same(packed, tmp_path):
    old = shutil.copytree(packed, tmp_path / "old")
    with np.load(packed / INDEX) as index:
        np.savez(old / INDEX, names=index["names"], shapes=index["shapes"], text_dim=TEXT_DIM)
    ours, theirs = open_samples(packed, FLOW), open_samples(old, FLOW)
    assert (ours.names, ours.fields) == (theirs.names, theirs.fields)
    for number in range(len(ours)):
        assert_same(ours[number], theirs[number])


def test_pairs_are_packed_whole_and_read_by_the_fields_that_are_asked_for(tmp_path):
    write_pairs(tmp_path / "csv")
    (tmp_path / "csv" / "latents" / "lose_2.pt").write_bytes(b"PK")
    (bad,) = pack(tmp_path / "csv", tmp_path / "set", PAIR, shards=1, max_bad=1)
    assert bad.startswith("clip_2: ")
    assert "lose_2.pt: the file ends too early" in bad
    source = open_samples(tmp_path / "csv", PAIR)
    for fields in (PAIR, FLOW, PAIR[::-1]):
        samples = open_samples(tmp_path / "set", fields)
        assert samples.names == source.names == ("clip_0", "clip_1", "clip_3", "clip_4")
        for number in range(len(source)):
            wanted = {field.name: source[number][field.name] for field in fields}
            assert_same(samples[number], Sample(source.names[number], wanted))


def test_fields_that_are_not_packed_are_named_together(packed):
    narrow = flow_fields(channels=16, text_dim=TEXT_DIM)
    fields = (*narrow, LatentField("lose"), NumberField("label"), NumberField("score", default=0.5))
    message = (
        "lacks latent 'latent' of width 16, latent 'lose', number 'label'; it holds latent "
        f"'latent' of width 24, text 'text' of width {TEXT_DIM}, number 'fps'. Pack the samples "
    )
    with pytest.raises(ValueError, match=message):
        open_samples(packed, fields)
    assert open_samples(packed, (*FLOW, fields[-1]))[0]["score"] == 0.5


def test_tfds_opens_the_folder_and_builds_the_registered_set(folder, packed, tmp_path):
    records = tfds.builder_from_directory(packed).as_data_source("train")
    source = open_samples(folder, FLOW)
    assert len(records) == len(SHAPES)
    np.testing.assert_array_equal(records[1]["latent"], source[1]["latent"])
    assert sum("array_record" in name for name in os.listdir(packed)) == 2
    builder = tfds.builder("mugv_samples", samples=source, data_dir=tmp_path)
    assert isinstance(builder, MugvSamples)
    builder.download_and_prepare()
    again = builder.as_data_source("train")[2]
    np.testing.assert_array_equal(again["text"], source[2]["text"].states)


def test_a_packed_source_travels_to_other_processes(packed):
    samples = open_samples(packed, FLOW)
    assert_same(pickle.loads(pickle.dumps(samples))[2], samples[2])


def test_reading_needs_neither_tensorflow_nor_pytorch(packed):
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from mugv_jax.data.fields import flow_fields\n"
        "from mugv_jax.data.open import open_samples\n"
        f"print(open_samples({str(packed)!r}, flow_fields())[1]['latent'].shape)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.stdout.strip() == "(3, 4, 6, 24)", done.stderr


def test_bfloat16_latents_are_said_so(folder, tmp_path):
    pack(folder, tmp_path / "half", FLOW, latent_dtype="bfloat16", shards=1)
    source, samples = open_samples(folder, FLOW), open_samples(tmp_path / "half", FLOW)
    for number in range(len(source)):
        np.testing.assert_allclose(
            samples[number]["latent"], source[number]["latent"], rtol=BFLOAT16_RTOL
        )
        np.testing.assert_array_equal(samples[number]["text"].states, source[number]["text"].states)
    info = tfds.builder_from_directory(tmp_path / "half").info
    assert info.features["latent"].np_dtype.name == "bfloat16"


def test_bad_samples_are_counted_and_named(tmp_path):
    write_folder(tmp_path)
    nan = torch.full((24, 3, 4, 6), torch.nan)
    torch.save(nan, tmp_path / "latents" / "clip_1.pt")
    (tmp_path / "latents" / "clip_3.pt").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"more than max bad=1 .* 2 are bad:\n  clip_3: "):
        pack(tmp_path, tmp_path / "set", FLOW, max_bad=1)
    assert not any(name.startswith((".set", "set")) for name in os.listdir(tmp_path))
    with pytest.raises(ValueError, match="shards=4 must be at most the number of samples, 3"):
        pack(tmp_path, tmp_path / "set", FLOW, max_bad=2, shards=4)
    bad = pack(tmp_path, tmp_path / "set", FLOW, max_bad=2)
    assert len(bad) == 2
    assert bad[0].startswith("clip_3: ")
    assert "the latent of clip_1 holds NaN" in bad[1]
    samples = open_samples(tmp_path / "set", FLOW)
    assert samples.names == ("clip_0", "clip_2", "clip_4")
    np.testing.assert_array_equal(samples.shapes, [SHAPES[n] for n in (0, 2, 4)])
    assert_same(samples[1], open_samples(tmp_path, FLOW)[2])


def test_only_a_data_set_is_replaced_and_only_by_a_complete_one(folder, tmp_path, monkeypatch):
    target = tmp_path / "set"
    target.mkdir()
    (target / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match="exists; pass --overwrite"):
        pack(folder, target, FLOW)
    with pytest.raises(ValueError, match="is a folder but no data set"):
        pack(folder, target, FLOW, overwrite=True)
    (target / "holiday.jpg").unlink()
    pack(folder, target, FLOW, shards=1)
    with monkeypatch.context() as patch:

        def interrupted(*_args, **_kwargs):
            raise KeyboardInterrupt

        patch.setattr(packing.np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pack(folder, target, FLOW, shards=1, overwrite=True)
    assert os.listdir(tmp_path) == ["set"]
    assert len(open_samples(target, FLOW)) == len(SHAPES)
    pack(folder, target, FLOW, shards=3, overwrite=True)
    assert sum("array_record" in name for name in os.listdir(target)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shards": 0}, "shards=0 must be at least 1"),
        ({"shards": 99}, f"shards=99 must be at most the number of samples, {len(SHAPES)}"),
        ({"latent_dtype": "float16"}, "'float16' must be one of float32, bfloat16"),
    ],
)
def test_options_out_of_range_are_refused(options, message, folder, tmp_path):
    with pytest.raises(ValueError, match=message):
        pack(folder, tmp_path / "set", FLOW, **options)
    assert os.listdir(tmp_path) == []


def test_a_source_is_not_replaced_by_its_own_packing(folder):
    with pytest.raises(ValueError, match="but no data set"):
        pack(folder / "train.csv", folder, FLOW, overwrite=True)


def test_a_damaged_packed_set_is_one_error(packed, tmp_path):
    broken = shutil.copytree(packed, tmp_path / "broken")
    record = next(path for path in broken.iterdir() if "00000-of" in path.name)
    content = bytearray(record.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 64] = bytes(64)
    record.write_bytes(bytes(content))
    samples = open_samples(broken, FLOW)
    with pytest.raises(BadSample, match=r"broken: record . \(clip_.\) cannot be read"):
        [samples[number] for number in range(len(samples))]
    (broken / INDEX).unlink()
    with pytest.raises(ValueError, match="incomplete or damaged"):
        open_samples(broken, FLOW)


@pytest.mark.parametrize(
    "content", [b"", b"no archive", None], ids=["empty", "other", "arrays that do not fit"]
)
def test_a_damaged_empty_text_is_named(content, tmp_path):
    file = tmp_path / "empty_text.npz"
    if content is None:
        with file.open("wb") as opened:
            np.savez(opened, text=np.zeros((3, 4)), mask=np.ones(2))
    else:
        file.write_bytes(content)
    with pytest.raises(BadSample, match=r"empty_text\.npz: "):
        read_empty_text(file)
