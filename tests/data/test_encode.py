# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import csv
import dataclasses
import os
import shutil
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from mugv_jax import video
from mugv_jax.data.clips import ClipRule, read_clip
from mugv_jax.data.encode import EncodeConfig, encode
from mugv_jax.data.fields import flow_fields
from mugv_jax.data.open import open_samples
from mugv_jax.data.pt_files import read_text
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv import windows
from mugv_jax.systems.mugv.models import MugvModels
from tests.data.real_clips import real_clip
from tests.systems.mugv.folders import SMALL

CONFIG = EncodeConfig(clip=ClipRule(fps=10, size=(32, 32), max_frames=17), text_batch=2)
CAPTIONS = {
    "bikes": "bicycles pass",
    "picture": "a gradient",
    "carphone": "a man talks in a moving car",
}


@pytest.fixture(scope="module")
def models():
    return MugvModels.random(SMALL, keep_loaded=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of two real clips, a picture, and their captions."""
    folder = tmp_path_factory.mktemp("videos")
    shutil.copy(real_clip("bikes.mp4"), folder)
    shutil.copy(real_clip("carphone_pristine.mp4"), folder / "carphone.mp4")
    smooth = np.linspace((0, 40, 80), (160, 200, 240), 40 * 40).reshape(40, 40, 3)
    Image.fromarray(smooth.astype(np.uint8)).save(folder / "picture.png")
    write_list(folder)
    return folder


def write_list(folder, captions=CAPTIONS, name="captions.csv"):
    with open(folder / name, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "caption", "fps"])
        for stem, caption in captions.items():
            suffix = ".png" if stem == "picture" else ".mp4"
            writer.writerow([stem + suffix, caption, "15" if stem == "carphone" else ""])
    return folder / name


@pytest.fixture(scope="module")
def whole(folder, models, tmp_path_factory):
    """Folder of one uninterrupted run."""
    out = tmp_path_factory.mktemp("whole")
    done = encode(folder / "captions.csv", out, models, CONFIG)
    assert (done.finished, done.rows, done.bad) == (3, 3, ())
    return out


def contents(out) -> dict[str, bytes]:
    """Bytes of all files that training reads."""
    files = [out / "train.csv", out / "empty_text.pt", *out.glob("latents/*"), *out.glob("text*/*")]
    return {os.fspath(path.relative_to(out)): path.read_bytes() for path in files}


def count_encodings(monkeypatch, stop_after: int | None = None) -> list:
    original, calls = windows.encode, []

    def counting(*arguments, **options):
        if stop_after is not None and len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(None)
        return original(*arguments, **options)

    monkeypatch.setattr(windows, "encode", counting)
    return calls


def direct(models, path, fps=None, key=None):
    """Latent from direct calls of the pipeline's parts."""
    frames, rate = read_clip(path, CONFIG.clip, fps)
    with meshes.use(models.mesh), models.model("vae") as (vae, variables):
        pixels = jnp.asarray(video.to_pixels(frames)[None])
        return np.asarray(windows.encode(vae, variables, pixels, key)[0]), rate


def test_samples_are_what_the_models_make_of_the_files(folder, whole, models):
    samples = open_samples(whole, flow_fields())
    assert samples.names == ("bikes", "picture", "carphone")
    np.testing.assert_array_equal(samples.shapes, [(3, 4, 4), (1, 4, 4), (3, 4, 4)])
    files = (("bikes.mp4", None), ("picture.png", None), ("carphone.mp4", 15))
    for sample, (name, fps) in zip((samples[n] for n in range(3)), files, strict=True):
        latent, rate = direct(models, folder / name, fps)
        np.testing.assert_array_equal(sample["latent"], latent)
        assert sample["fps"] == rate == (fps or 10)
        tokens = len(CAPTIONS[sample.name].encode()) + 1  # bytes, and the end
        assert sample["text"].mask.tolist() == [True] * tokens
        ids, mask = models.tokenize([CAPTIONS[sample.name]])
        with meshes.use(models.mesh), models.model("text") as (t5, variables):
            states = t5.apply(variables, jnp.asarray(ids), jnp.asarray(mask))
        # One program for two captions, and one for one: sums in another order.
        np.testing.assert_allclose(sample["text"].states, np.asarray(states)[0, :tokens], atol=1e-5)
    states, mask = read_text(whole / "empty_text.pt")
    assert states.shape == (300, SMALL.text.width)
    assert mask.sum() == 1  # the end token


def test_an_interrupted_run_goes_on_and_ends_with_the_same_files(
    folder, whole, models, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        count_encodings(patch, stop_after=1)
        with pytest.raises(KeyboardInterrupt):
            encode(folder / "captions.csv", tmp_path, models, CONFIG)
    # Training can use the finished samples.
    assert open_samples(tmp_path, flow_fields()).names == ("bikes",)
    calls = count_encodings(monkeypatch)
    encode(folder / "captions.csv", tmp_path, models, CONFIG)
    assert len(calls) == 2
    assert contents(tmp_path) == contents(whole)
    calls.clear()
    monkeypatch.setattr(MugvModels, "caption_states", None)
    encode(folder / "captions.csv", tmp_path, models, CONFIG)
    assert calls == []


def test_a_killed_write_leaves_no_file_and_is_repeated(
    folder, whole, models, tmp_path, monkeypatch
):
    original = os.fsync

    def full(descriptor):
        if "latents" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        original(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: .*latents/bikes-"):
            encode(folder / "captions.csv", tmp_path, models, CONFIG)
    assert os.listdir(tmp_path / "latents") == []
    (tmp_path / "latents" / ".bikes.pt.partial").write_bytes(b"left by a killed process")
    encode(folder / "captions.csv", tmp_path, models, CONFIG)
    (tmp_path / "latents" / ".bikes.pt.partial").unlink()
    assert contents(tmp_path) == contents(whole)


def test_two_shards_together_equal_one_run(folder, whole, models, tmp_path):
    for index in (1, 0):
        config = dataclasses.replace(CONFIG, shard_index=index, shard_count=2)
        done = encode(folder / "captions.csv", tmp_path, models, config)
        assert done.finished == (2, 1)[index]
    assert done.rows == 3
    assert contents(tmp_path) == contents(whole)
    # One process does not repeat the work of two.
    assert encode(folder / "captions.csv", tmp_path, models, CONFIG).rows == 3
    assert contents(tmp_path) == contents(whole)


def test_what_has_changed_is_encoded_anew_and_nothing_else(
    folder, whole, models, tmp_path, monkeypatch
):
    videos = shutil.copytree(folder, tmp_path / "videos")
    out = shutil.copytree(whole, tmp_path / "out")
    calls = count_encodings(monkeypatch)
    # Copied files are recognised despite other times of change.
    encode(videos / "captions.csv", out, models, CONFIG)
    assert calls == []
    before = contents(out)
    Image.new("RGB", (40, 40), "red").save(videos / "picture.png")
    write_list(videos, CAPTIONS | {"bikes": "bicycles pass, again"})
    encode(videos / "captions.csv", out, models, CONFIG)
    assert len(calls) == 1  # the other row has the same video
    after = contents(out)
    changed = {name.split("-")[0] for name in set(before) ^ set(after)}
    assert changed == {"latents/picture", "text_features/bikes"}
    assert len(before) == len(after)
    samples = open_samples(out, flow_fields())
    assert samples.names == ("bikes", "picture", "carphone")
    assert len(samples[0]["text"].states) == len("bicycles pass, again") + 1


def test_removed_and_added_captions_follow_the_list(folder, whole, models, tmp_path):
    out = shutil.copytree(whole, tmp_path / "out")
    videos = shutil.copytree(folder, tmp_path / "videos")
    write_list(videos, {"carphone": CAPTIONS["carphone"], "bikes": CAPTIONS["bikes"]})
    encode(videos / "captions.csv", out, models, CONFIG)
    assert open_samples(out, flow_fields()).names == ("carphone", "bikes")


def test_bad_files_are_named_and_skipped_up_to_a_limit(folder, models, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # samples need none
    (tmp_path / "broken.mp4").write_text("no video")
    shutil.copy(folder / "picture.png", tmp_path)
    path = write_list(tmp_path, {"missing": "x", "broken": "y", "picture": "z"})
    out = tmp_path / "out"
    limited = dataclasses.replace(CONFIG, max_bad=1)
    with pytest.raises(ValueError, match="more than max bad=1 files") as caught:
        encode(path, out, models, limited)
    assert "2 are bad:\n  missing: " in str(caught.value)
    assert f"broken: video '{tmp_path}/broken.mp4' is damaged" in str(caught.value)
    done = encode(path, out, models, CONFIG)
    assert (done.finished, done.rows, len(done.bad)) == (1, 1, 2)
    assert open_samples(out, flow_fields()).names == ("picture",)


def test_a_folder_has_one_set_of_settings(folder, whole, models):
    other = dataclasses.replace(CONFIG, clip=dataclasses.replace(CONFIG.clip, fps=12))
    with pytest.raises(ValueError, match=r"other settings: fps=12 \(was 10\). Encode to another"):
        encode(folder / "captions.csv", whole, models, other)


def test_a_sampled_posterior_depends_on_the_seed_and_the_sample_alone(
    folder, whole, models, tmp_path
):
    captions = {name: CAPTIONS[name] for name in ("picture", "carphone")}
    path = write_list(folder, captions, "two.csv")
    latents = []
    for number, seed in enumerate((1, 1, 2)):
        config = dataclasses.replace(CONFIG, posterior_seed=seed)
        if number == 1:  # elsewhere in another list
            path = write_list(folder, {"picture": CAPTIONS["picture"]}, "one.csv")
        encode(path, tmp_path / str(number), models, config)
        latents.append(open_samples(tmp_path / str(number), flow_fields())[0]["latent"])
    np.testing.assert_array_equal(latents[0], latents[1])
    mean = open_samples(whole, flow_fields())[1]["latent"]
    assert np.abs(latents[0] - latents[2]).max() > 0
    assert np.abs(latents[0] - mean).max() > 0


def test_a_vae_that_overflows_makes_no_sample(folder, models, tmp_path, monkeypatch):
    original = windows.encode
    monkeypatch.setattr(windows, "encode", lambda *a, **o: original(*a, **o) + jnp.inf)
    path = write_list(folder, {"picture": "x"}, "picture.csv")
    with pytest.raises(ValueError, match="no file of the list can be used") as caught:
        encode(path, tmp_path, models, CONFIG)
    assert "the VAE overflowed on it" in str(caught.value)
    assert not (tmp_path / "train.csv").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_batch": 0}, "text_batch=0"),
        ({"threads": 0}, "threads=0"),
        ({"max_bad": -1}, "max_bad=-1"),
        ({"posterior_seed": -1}, "posterior_seed=-1"),
        ({"posterior_seed": 2**32}, "posterior_seed=4294967296"),
        ({"shard_index": 2, "shard_count": 2}, "shard index=2 of shard count=2"),
        ({"shard_index": 0, "shard_count": 0}, "shard index=0 of shard count=0"),
    ],
)
def test_options_out_of_range_are_refused(fields, message, folder, models, tmp_path):
    with pytest.raises(ValueError, match=message):
        encode(folder / "captions.csv", tmp_path, models, dataclasses.replace(CONFIG, **fields))
