# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""CLIP's embedding and aesthetic score of clips, against transformers and torch."""

import itertools

import numpy as np
import pytest
import torch
import transformers

from mugv_jax.curate.stages.clip import ClipScores

SIDE, FEATURES = 12, 10
WIDTHS = (FEATURES, 1024, 128, 64, 16, 1)  # of LAION's predictor
PARITY = 1e-4  # of the score; half precision of the embedding has 1e-3
SMALL = {
    "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny seeded CLIP as transformers saves it, and a predictor."""
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    config = transformers.CLIPConfig(
        text_config=SMALL | {"vocab_size": 10},
        vision_config=SMALL | {"patch_size": 4, "image_size": SIDE, "hidden_act": "quick_gelu"},
        projection_dim=FEATURES,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    layers = [torch.nn.Linear(a, b) for a, b in itertools.pairwise(WIDTHS)]
    drop = torch.nn.Dropout(0.2)
    both = [*(x for pair in zip(layers[:3], [drop] * 3, strict=True) for x in pair), *layers[3:]]
    torch.save(
        torch.nn.ModuleDict({"layers": torch.nn.Sequential(*both)}).state_dict(),
        folder / "head.pth",
    )
    return folder


def frames(seed: int) -> np.ndarray:
    """Three square key frames (k h w 3) of CLIP's size, which no resizing changes."""
    return np.random.default_rng(seed).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)


def summaries(folder, pictures: np.ndarray) -> torch.Tensor:
    """Unit embeddings of frames by transformers."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    mean, deviation = (
        torch.tensor(each)[:, None, None]
        for each in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        pooled = model.vision_model((pixels - mean) / deviation).pooler_output
        return torch.nn.functional.normalize(model.visual_projection(pooled), dim=-1)


def test_scores_are_those_of_transformers_and_of_the_predictor(folder):
    stage = ClipScores(folder=str(folder), head=str(folder / "head.pth"))
    stage.check()
    made = stage([{"clip": str(seed), "key_frames": frames(seed)} for seed in (0, 1)])
    weights = torch.load(folder / "head.pth")
    for seed, row in enumerate(made):
        expected = x = summaries(folder, frames(seed))
        for name in sorted({name.rpartition(".")[0] for name in weights}, key=lambda n: int(n[7:])):
            x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        assert row["aesthetic"] == pytest.approx(float(x.mean()), abs=PARITY)
        mean = torch.nn.functional.normalize(expected.mean(0), dim=0).numpy()
        found = np.frombuffer(row["embedding"], np.float16).astype(np.float32)
        np.testing.assert_allclose(found, mean, atol=2e-3)
    assert made[0]["embedding"] != made[1]["embedding"]


@pytest.mark.parametrize(
    ("given", "measured"), [((), set()), (("folder",), {"embedding"}),
                            (("folder", "head"), {"embedding", "aesthetic"})]
)  # fmt: skip
def test_what_is_not_given_is_not_measured(folder, given, measured):
    files = {"folder": str(folder), "head": str(folder / "head.pth")}
    stage = ClipScores(**{name: files[name] for name in given})
    assert stage.measured == measured
    (row,) = stage([{"key_frames": frames(0)}])
    assert {name for name in ClipScores.WRITES if row[name] is not None} == measured


def test_missing_files_are_refused_before_any_work(folder, tmp_path):
    with pytest.raises(ValueError, match="missing"):
        ClipScores(folder=str(tmp_path / "missing")).check()
    with pytest.raises(ValueError, match=r"missing\.pth"):
        ClipScores(folder=str(folder), head=str(tmp_path / "missing.pth")).check()
