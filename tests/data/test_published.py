# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import pickle
import shutil

import einops
import numpy as np
import pytest
import torch

from mugv_jax.data import headers, pt_files
from mugv_jax.data.samples import BadSample, SampleSource, open_samples
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT
from tests.data.folders import SHAPES, TEXT_DIM, row, write_csv, write_folder, write_sample

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
    samples = open_samples(folder)
    assert isinstance(samples, SampleSource)
    assert (len(samples), samples.text_dim, samples.bad) == (len(SHAPES), TEXT_DIM, ())
    assert samples.shapes.dtype == np.int32
    np.testing.assert_array_equal(samples.shapes, SHAPES)
    for number, name in enumerate(samples.names):
        sample = samples[number]
        assert (sample.name, sample.fps) == (f"clip_{number}", 24.0) == (name, 24.0)
        np.testing.assert_array_equal(sample.latent, stored(folder, name))
        text = torch.load(folder / "text_features" / f"{name}_text.pt")
        np.testing.assert_array_equal(sample.text, text["y"][0, 0, : number + 1].numpy())
        assert sample.text_mask.tolist() == [True] * (number + 1)
    with pytest.raises(IndexError):
        samples[len(samples)]


def test_real_latents_are_normalised_and_generated_ones_are_not(tmp_path):
    samples = open_samples(write_folder(tmp_path, sources=("real", "generated")))
    raw = samples[0].latent.astype(np.float64) * np.array(LATENT_SCALE) + np.array(LATENT_SHIFT)
    np.testing.assert_allclose(raw, stored(tmp_path, "clip_0"), atol=NORMALISATION_ATOL)
    np.testing.assert_array_equal(samples[1].latent, stored(tmp_path, "clip_1"))


def test_a_gap_in_the_mask_stays_and_padding_goes(folder):
    path = folder / "text_features" / "clip_0_text.pt"
    content = torch.load(path)
    content["mask"] = torch.tensor([[1, 0, 1, 0, 0, 0]])  # as integers, too
    content["y"][0, 0, 3:] = torch.nan
    torch.save(content, path)
    sample = open_samples(folder)[0]
    assert sample.text_mask.tolist() == [True, False, True]
    assert not sample.text[1].any()
    np.testing.assert_array_equal(sample.text[2], content["y"][0, 0, 2].numpy())


def test_half_precision_files_are_read(folder):
    path = folder / "latents" / "clip_1.pt"
    half = torch.load(path).to(torch.bfloat16)
    torch.save(half, path)
    sample = open_samples(folder)[1]
    assert sample.latent.dtype == np.float32
    expected = einops.rearrange(half.float().numpy(), "c f h w -> f h w c")
    np.testing.assert_array_equal(sample.latent, expected)


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
    samples = open_samples(folder)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(samples))[2].latent, samples[2].latent)


def test_headers_are_read_once_and_again_where_a_file_changed(folder, monkeypatch):
    open_samples(folder)
    read, original = [], pt_files.latent_shape
    monkeypatch.setattr(headers, "latent_shape", lambda path: read.append(path) or original(path))
    np.testing.assert_array_equal(open_samples(folder).shapes, SHAPES)
    assert read == []
    write_sample(folder, "clip_2", np.random.default_rng(2), (5, 2, 2), tokens=1)
    write_sample(folder, "clip_9", np.random.default_rng(2), (6, 2, 2), tokens=1)
    write_csv(folder, [row("clip_2"), row("clip_9"), row("clip_0")])
    np.testing.assert_array_equal(open_samples(folder).shapes, [(5, 2, 2), (6, 2, 2), (1, 4, 6)])
    assert {path.name for path in read} == {"clip_2.pt", "clip_9.pt"}
    headers.index_path(folder / "train.csv").write_bytes(b"damaged")
    np.testing.assert_array_equal(open_samples(folder).shapes[0], (5, 2, 2))


def test_a_folder_that_cannot_be_written_does_without_an_index(folder, monkeypatch):
    monkeypatch.setattr(headers.os, "access", lambda *_: False)
    assert len(open_samples(folder)) == len(SHAPES)
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
    samples = open_samples(folder)
    assert samples.names == ("good",)
    reasons = (
        "clip_0.pt: cannot be read (No such file",
        "clip_1.pt: the file ends too early",
        "(24, frames, rows, columns), not torch.float32 (16, 1, 2, 2)",
        "not torch.int32 (24, 1, 2, 2)",
        "not dict",
    )
    assert len(samples.bad) == len(reasons)
    for name, line, reason in zip(names, samples.bad, reasons):
        assert line.startswith(f"{name}: {folder}/latents/{name}.pt")
        assert reason in line
    assert "5 samples are left out" in caplog.text
    write_csv(folder, [row(name) for name in names])
    with pytest.raises(ValueError, match=r"holds no usable sample. 5 are bad:\n  clip_0: "):
        open_samples(folder)


def test_a_sample_that_breaks_after_opening_is_a_bad_sample(folder):
    samples = open_samples(folder)
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
        open_samples(path)


def test_frames_per_second_come_from_the_csv_where_it_has_them(folder):
    write_csv(folder, [row("clip_0") | {"fps": "29.97"}, row("clip_1") | {"fps": ""}])
    samples = open_samples(folder)
    assert [samples[number].fps for number in range(2)] == [29.97, 24.0]


def test_what_is_no_source_of_samples_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds neither train.csv nor dataset_info.json"):
        open_samples(tmp_path)
    with pytest.raises(ValueError, match=r"does not exist; give a train.csv"):
        open_samples(tmp_path / "missing.csv")
    (tmp_path / "train.csv").write_text("sample_id,source\na,real\n")
    with pytest.raises(ValueError, match="lacks the column latent_path, text_feat_path"):
        open_samples(tmp_path)
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(ValueError, match="no csv file in UTF-8"):
        open_samples(tmp_path)
