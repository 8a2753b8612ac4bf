# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pickle
import re
import shutil
import sys

import einops
import numpy as np
import pytest
import torch

from mugv_jax.data import headers, pt_files
from mugv_jax.data.bad_sample import BadSample
from mugv_jax.data.batches import make_batches
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.fields import LatentField, NumberField, flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.samples import SampleSource
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from tests.data.folders import (
    FLOW,
    PAIR,
    SHAPES,
    TEXT_DIM,
    row,
    write_csv,
    write_folder,
    write_latent,
    write_pairs,
    write_sample,
)
from tests.data.sources import TOKENS

# (z - shift) / scale in float32, then back in float64: two roundings of values around 1.
NORMALISATION_ATOL = 2e-6


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path)
    return tmp_path


def stored(folder, name):
    latent = torch.load(folder / "latents" / f"{name}.pt").numpy()
    return einops.rearrange(latent, "c f h w -> f h w c")


def test_samples_are_what_the_files_hold(folder):
    samples = open_samples(folder, FLOW)
    assert isinstance(samples, SampleSource)
    assert (len(samples), samples.bad) == (len(SHAPES), ())
    assert [field.width for field in samples.fields] == [24, TEXT_DIM, None]
    assert samples.shapes.dtype == np.int32
    np.testing.assert_array_equal(samples.shapes, SHAPES)
    for number, name in enumerate(samples.names):
        sample = samples[number]
        assert (sample.name, sample["fps"]) == (f"clip_{number}", 24.0) == (name, 24.0)
        np.testing.assert_array_equal(sample["latent"], stored(folder, name))
        text = torch.load(folder / "text_features" / f"{name}_text.pt")
        np.testing.assert_array_equal(sample["text"].states, text["y"][0, 0, : number + 1].numpy())
        assert sample["text"].mask.tolist() == [True] * (number + 1)
    with pytest.raises(IndexError):
        samples[len(samples)]


def test_real_latents_are_normalised_and_generated_ones_are_not(tmp_path):
    samples = open_samples(write_folder(tmp_path, sources=("real", "generated")), FLOW)
    raw = samples[0]["latent"].astype(np.float64) * np.array(LATENT_SCALE) + np.array(LATENT_SHIFT)
    np.testing.assert_allclose(raw, stored(tmp_path, "clip_0"), atol=NORMALISATION_ATOL)
    np.testing.assert_array_equal(samples[1]["latent"], stored(tmp_path, "clip_1"))


def test_a_gap_in_the_mask_stays_and_padding_goes(folder):
    path = folder / "text_features" / "clip_0_text.pt"
    content = torch.load(path)
    content["mask"] = torch.tensor([[1, 0, 1, 0, 0, 0]])  # as integers, too
    content["y"][0, 0, 3:] = torch.nan
    torch.save(content, path)
    sample = open_samples(folder, FLOW)[0]
    assert sample["text"].mask.tolist() == [True, False, True]
    assert not sample["text"].states[1].any()
    np.testing.assert_array_equal(sample["text"].states[2], content["y"][0, 0, 2].numpy())


def test_half_precision_files_are_read(folder):
    path = folder / "latents" / "clip_1.pt"
    half = torch.load(path).to(torch.bfloat16)
    torch.save(half, path)
    sample = open_samples(folder, FLOW)[1]
    assert sample["latent"].dtype == np.float32
    expected = einops.rearrange(half.float().numpy(), "c f h w -> f h w c")
    np.testing.assert_array_equal(sample["latent"], expected)


def test_files_that_we_write_come_back_and_torch_reads_them(tmp_path):
    rng = np.random.default_rng(1)
    latent = rng.normal(size=(2, 4, 6, 24)).astype(np.float32)
    content = pt_files.latent_bytes(latent)
    assert content == pt_files.latent_bytes(latent.copy())
    (tmp_path / "x.pt").write_bytes(content)
    np.testing.assert_array_equal(pt_files.read_latent(tmp_path / "x.pt"), latent)
    assert torch.load(tmp_path / "x.pt").shape == (24, 2, 4, 6)
    text, mask = rng.normal(size=(5, 8)).astype(np.float32), np.arange(5) < 3
    for dtype in (np.float32, torch_bfloat16()):
        (tmp_path / "y.pt").write_bytes(pt_files.text_bytes(text.astype(dtype), mask))
        states, read_mask = pt_files.read_text(tmp_path / "y.pt")
        np.testing.assert_array_equal(states, text.astype(dtype).astype(np.float32))
        np.testing.assert_array_equal(read_mask, mask)


def torch_bfloat16():
    import ml_dtypes

    return ml_dtypes.bfloat16


def test_a_source_travels_to_other_processes(folder):
    samples = open_samples(folder, FLOW)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(samples))[2]["latent"], samples[2]["latent"]
    )


def test_headers_are_read_once_and_again_where_a_file_changed(folder, monkeypatch):
    open_samples(folder, FLOW)
    read, original = [], pt_files.latent_shape
    monkeypatch.setattr(headers, "latent_shape", lambda path: read.append(path) or original(path))
    np.testing.assert_array_equal(open_samples(folder, FLOW).shapes, SHAPES)
    assert read == []
    write_sample(folder, "clip_2", np.random.default_rng(2), (5, 2, 2), tokens=1)
    write_sample(folder, "clip_9", np.random.default_rng(2), (6, 2, 2), tokens=1)
    write_csv(folder, [row("clip_2"), row("clip_9"), row("clip_0")])
    np.testing.assert_array_equal(
        open_samples(folder, FLOW).shapes, [(5, 2, 2), (6, 2, 2), (1, 4, 6)]
    )
    assert {path.name for path in read} == {"clip_2.pt", "clip_9.pt"}
    headers.index_path(folder / "train.csv").write_bytes(b"damaged")
    np.testing.assert_array_equal(open_samples(folder, FLOW).shapes[0], (5, 2, 2))


def test_a_folder_that_cannot_be_written_does_without_an_index(folder, monkeypatch):
    monkeypatch.setattr(headers.os, "access", lambda *_: False)
    assert len(open_samples(folder, FLOW)) == len(SHAPES)
    assert not headers.index_path(folder / "train.csv").exists()


def damage(folder):
    """Files broken in every way, by the name of their sample."""
    latents, texts = folder / "latents", folder / "text_features"
    (latents / "clip_0.pt").unlink()
    whole = (latents / "clip_1.pt").read_bytes()
    (latents / "clip_1.pt").write_bytes(whole[: len(whole) // 2])
    torch.save(torch.zeros(16, 1, 2, 2), latents / "clip_2.pt")
    torch.save(torch.zeros(24, 1, 2, 2, dtype=torch.int32), latents / "clip_3.pt")
    torch.save({"z": 1}, latents / "clip_4.pt")
    return texts


def test_samples_without_a_usable_latent_are_left_out_and_named(folder, caplog):
    damage(folder)
    write_sample(folder, "good", np.random.default_rng(3), (1, 2, 2), tokens=1)
    names = [f"clip_{number}" for number in range(5)]
    write_csv(folder, [row(name) for name in ("good", *names)])
    samples = open_samples(folder, FLOW)
    assert samples.names == ("good",)
    reasons = (
        "clip_0.pt: cannot be read (No such file",
        "clip_1.pt: the file ends too early",
        "has 16 channels, not 24; encode it with the VAE",
        "not int32 (24, 1, 2, 2)",
        "not dict",
    )
    assert len(samples.bad) == len(reasons)
    for name, line, reason in zip(names, samples.bad, reasons):
        assert line.startswith(f"{name}: {folder}/latents/{name}.pt")
        assert reason in line
    assert "5 samples are left out" in caplog.text
    write_csv(folder, [row(name) for name in names])
    with pytest.raises(ValueError, match=r"holds no usable sample. 5 are bad:\n  clip_0: "):
        open_samples(folder, flow_fields(channels=24))
    assert open_samples(folder, FLOW).fields[0].channels == 16  # of the first readable file


def test_a_sample_that_breaks_after_opening_is_a_bad_sample(folder):
    samples = open_samples(folder, FLOW)
    latents, texts = folder / "latents", folder / "text_features"
    nan = torch.load(latents / "clip_0.pt")
    nan[3, 0, 1, 1] = torch.nan
    torch.save(nan, latents / "clip_0.pt")
    shutil.copy(latents / "clip_0.pt", latents / "clip_1.pt")
    (texts / "clip_2_text.pt").unlink()
    torch.save(torch.zeros(3), texts / "clip_3_text.pt")
    torch.save({"y": torch.zeros(1, 1, 3, 4), "mask": torch.ones(1, 3)}, texts / "clip_4_text.pt")
    reasons = (
        "latents/clip_0.pt: the latent of clip_0 holds NaN",
        "is (1, 4, 6, 24), but was (3, 4, 6, 24) when",
        "clip_2_text.pt: does not exist",
        "clip_3_text.pt: must hold",
        "the text of clip_4 is (3, 4) with a mask of (3,); it must be (s, 8)",
    )
    for number, reason in enumerate(reasons):
        with pytest.raises(BadSample) as caught:
            samples[number]
        assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "fake"}, r"line 3 \(b\): source='fake' must be real"),
        ({"source": ""}, "line 3: source is empty"),
        ({"fps": "fast"}, "line 3: fps='fast' must be a positive number"),
        ({"fps": "-1"}, "fps='-1'"),
        ({"fps": "inf"}, "fps='inf'"),
    ],
)
def test_rows_that_cannot_be_meant_are_named(change, message, tmp_path):
    path = write_csv(tmp_path, [row("a") | {"fps": ""}, row("b") | {"fps": "30"} | change])
    with pytest.raises(ValueError, match=message):
        open_samples(path, FLOW)


@pytest.mark.parametrize(
    "path", ["../latents/clip_0.pt", "latents/../../other/clip_0.pt", "/elsewhere/clip_0.pt"]
)
@pytest.mark.parametrize("column", ["latent_path", "text_feat_path"])
def test_paths_that_leave_the_folder_are_refused(column, path, folder):
    write_csv(folder, [row("clip_0"), row("clip_1") | {column: path}])
    with pytest.raises(ValueError, match=rf"line 3 \(clip_1\): {path} lies outside of the folder"):
        open_samples(folder, FLOW)
    write_csv(folder, [row("clip_0") | {"latent_path": "latents/../latents/clip_0.pt"}])
    assert len(open_samples(folder, FLOW)) == 1


def test_two_rows_of_one_sample_are_refused(folder):
    write_csv(folder, [row("clip_0"), row("clip_1"), row("clip_0")])
    with pytest.raises(ValueError, match="line 4: sample_id='clip_0' is that of line 2 too"):
        open_samples(folder, FLOW)


def test_plain_files_are_read_and_written_without_torch(folder, monkeypatch):
    whole = [open_samples(folder, FLOW)[number]["latent"] for number in range(len(SHAPES))]
    headers.index_path(folder / "train.csv").unlink()
    monkeypatch.setitem(sys.modules, "torch", None)
    samples = open_samples(folder, FLOW)
    for number, latent in enumerate(whole):
        np.testing.assert_array_equal(samples[number]["latent"], latent)
    content = pt_files.latent_bytes(whole[0])
    (folder / "latents" / "clip_0.pt").write_bytes(content)
    np.testing.assert_array_equal(samples[0]["latent"], whole[0])


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_views_and_other_dtypes_are_read_as_torch_reads_them(dtype, folder):
    latent = torch.arange(24 * 3 * 4 * 8).reshape(24, 3, 8, 4).to(getattr(torch, dtype))
    torch.save(latent[:, 1:, ::2].transpose(2, 3), folder / "latents" / "clip_0.pt")
    read = pt_files.read_latent(folder / "latents" / "clip_0.pt")
    expected = torch.load(folder / "latents" / "clip_0.pt").float().numpy()
    np.testing.assert_array_equal(read, einops.rearrange(expected, "c f h w -> f h w c"))
    assert pt_files.latent_shape(folder / "latents" / "clip_0.pt") == read.shape


def test_a_file_that_needs_torch_says_so(folder, monkeypatch):
    torch.save({"model": torch.zeros(3), "step": 1}, folder / "latents" / "clip_0.pt")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ValueError, match=r"need PyTorch: pip install"):
        open_samples(folder, FLOW)


def test_frames_per_second_come_from_the_csv_where_it_has_them(folder):
    write_csv(folder, [row("clip_0") | {"fps": "29.97"}, row("clip_1") | {"fps": ""}])
    samples = open_samples(folder, FLOW)
    assert [samples[number]["fps"] for number in range(2)] == [29.97, 24.0]


def test_a_pair_with_a_label_is_one_sample(tmp_path):
    samples = open_samples(write_pairs(tmp_path), PAIR)
    assert len(samples) == len(SHAPES)
    for number, name in enumerate(samples.names):
        sample = samples[number]
        assert list(sample.values) == ["latent", "text", "fps", "lose", "label"]
        assert sample["label"] == -number / 2
        for field, file in (("latent", name), ("lose", f"lose_{number}")):
            raw = stored(tmp_path, file)
            shift, scale = np.float32(LATENT_SHIFT), np.float32(LATENT_SCALE)
            expected = raw if number % 2 else (raw - shift) / scale
            np.testing.assert_array_equal(sample[field], expected)
    plain = open_samples(tmp_path, FLOW)
    np.testing.assert_array_equal(plain[3]["latent"], samples[3]["latent"])
    assert list(plain[3].values) == ["latent", "text", "fps"]


def test_a_pair_of_two_shapes_is_left_out_and_one_that_breaks_later_is_replaced(tmp_path, caplog):
    shape = (1, 4, 6)
    write_pairs(tmp_path)
    rng = np.random.default_rng(2)
    rows = []
    for number in range(4):
        write_sample(tmp_path, f"clip_{number}", rng, shape, tokens=2)
        write_latent(tmp_path, f"lose_{number}", rng, shape if number else (1, 6, 4))
        lose = {"lose_path": f"latents/lose_{number}.pt", "label": "1"}
        rows.append(row(f"clip_{number}") | lose)
    samples = open_samples(write_csv(tmp_path, rows), PAIR)
    assert samples.names == ("clip_1", "clip_2", "clip_3")
    (line,) = samples.bad
    assert "lose_0.pt: the latent (f, h, w) is (1, 6, 4), but the sample's first latent is" in line
    for break_it in (lambda file: file.unlink(), lambda file: torch.save(torch.zeros(3), file)):
        break_it(tmp_path / "latents" / "lose_2.pt")
        config = DataConfig(tokens_per_shard=24, text_tokens=3, max_bad=1, threads=2)
        run = {"shards": 1, "local": range(1), "total_steps": 6, "seed": 0, "tokens": TOKENS}
        for batch in make_batches(samples, config, **run):
            for row_number, index in enumerate(batch["sample"].tolist()):
                assert index != 1
                for name in ("latent", "lose"):
                    expected = samples[index][name]
                    np.testing.assert_array_equal(batch[name][row_number], expected)
        messages = [record.getMessage() for record in caplog.records if "replaced" in record.msg]
        assert len(messages) == 1
        assert "lose_2.pt" in messages[0]
        caplog.clear()


def test_columns_that_are_missing_are_named_together_and_empty_cells_too(tmp_path):
    write_folder(tmp_path)
    message = (
        "lacks the column lose_path, label; it needs sample_id, source, latent_path, "
        "text_feat_path, lose_path, label and has sample_id, source, latent_path, text_feat_path. "
        "Add what is missing, or ask for other fields"
    )
    with pytest.raises(ValueError, match=message):
        open_samples(tmp_path, PAIR)
    extra = {"lose_path": "latents/clip_0.pt", "label": "0"}
    for cells, message in (
        ({"lose_path": "", "label": ""}, "line 2: lose_path, label is empty"),
        ({"label": "good"}, r"line 2: label='good' must be a number\."),
        ({"label": "nan"}, "label='nan'"),
        ({"label": "-1e39"}, "label='-1e39'"),
    ):
        write_csv(tmp_path, [row("clip_0") | extra | cells])
        with pytest.raises(ValueError, match=message):
            open_samples(tmp_path, PAIR)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (FLOW[1:], "at least one latent"),
        ((*FLOW, LatentField("latent")), "collide in latent"),
        ((*FLOW, NumberField("text_mask"), NumberField("weight")), "collide in text_mask, weight"),
        (flow_fields(text_dim=9), "are 8 wide, but the model reads states of width 9"),
        (flow_fields(channels=16), "holds no usable sample. 5 are bad:.*has 24 channels, not 16"),
        (flow_fields(), "no statistics of 24 channels are known"),
    ],
)
def test_fields_that_the_samples_do_not_have_are_refused(fields, message, tmp_path):
    write_folder(tmp_path, sources=("real",))
    with pytest.raises(ValueError, match=re.compile(message, re.DOTALL)):
        open_samples(tmp_path, fields)


def test_an_index_of_an_earlier_version_is_used(folder, monkeypatch):
    open_samples(folder, FLOW)
    path = headers.index_path(folder / "train.csv")
    with np.load(path) as index:
        old = {name: index[name] for name in ("paths", "stamps", "shapes")}
    np.savez(path, **old)
    monkeypatch.setattr(headers, "latent_shape", None)
    np.testing.assert_array_equal(open_samples(folder, FLOW).shapes, SHAPES)


def test_what_is_no_source_of_samples_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds neither train.csv nor dataset_info.json"):
        open_samples(tmp_path, FLOW)
    with pytest.raises(ValueError, match=r"does not exist; give a train.csv"):
        open_samples(tmp_path / "missing.csv", FLOW)
    (tmp_path / "train.csv").write_text("sample_id,source\na,real\n")
    with pytest.raises(ValueError, match="lacks the column latent_path, text_feat_path"):
        open_samples(tmp_path, FLOW)
    (tmp_path / "train.csv").write_bytes(b"sample_id\xff\xfe")
    with pytest.raises(ValueError, match="cannot be read as UTF-8 or UTF-16"):
        open_samples(tmp_path, FLOW)
