# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Small folders of encoded samples in the published format, written by torch."""

import csv
from pathlib import Path

import einops
import numpy as np
import torch

from mugv_jax.data.fields import LatentField, NumberField, flow_fields
from mugv_jax.nn.vae.statistics import LATENT_SCALE, LATENT_SHIFT

STATISTICS = (LATENT_SHIFT, LATENT_SCALE)
FLOW = flow_fields(statistics=STATISTICS)
PAIR = (*FLOW, LatentField("lose", statistics=STATISTICS), NumberField("label"))
TEXT_DIM = 8
TEXT_TOKENS = 6
SHAPES = ((1, 4, 6), (3, 4, 6), (2, 6, 4), (1, 2, 2), (4, 2, 2))


def write_folder(folder: Path, *, sources: tuple[str, ...] = ("generated",)) -> Path:
    """Writes a `train.csv` with a sample of every shape of SHAPES; sources and fps alternate."""
    rng = np.random.default_rng(0)
    rows = []
    for number, shape in enumerate(SHAPES):
        write_sample(folder, f"clip_{number}", rng, shape, tokens=number + 1)
        rows.append(row(f"clip_{number}", sources[number % len(sources)]))
    return write_csv(folder, rows)


def write_sample(
    folder: Path, name: str, rng: np.random.Generator, shape: tuple[int, ...], *, tokens: int
) -> None:
    write_latent(folder, name, rng, shape)
    (folder / "text_features").mkdir(exist_ok=True)
    text = rng.normal(size=(1, 1, TEXT_TOKENS, TEXT_DIM)).astype(np.float32)
    mask = np.arange(TEXT_TOKENS)[None] < tokens
    features = {"y": torch.from_numpy(text), "mask": torch.from_numpy(mask)}
    torch.save(features, folder / "text_features" / f"{name}_text.pt")


def write_latent(folder: Path, name: str, rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    (folder / "latents").mkdir(parents=True, exist_ok=True)
    latent = einops.rearrange(rng.normal(size=(*shape, 24)), "f h w c -> c f h w")
    latent = np.ascontiguousarray(latent, np.float32)
    torch.save(torch.from_numpy(latent), folder / "latents" / f"{name}.pt")


def write_pairs(folder: Path) -> Path:
    """Writes a `train.csv` with a second latent, a label and a caption for every sample.

    PAIR are its fields but for the caption.
    """
    write_folder(folder)
    rng, rows = np.random.default_rng(1), []
    for number, shape in enumerate(SHAPES):
        write_latent(folder, f"lose_{number}", rng, shape)
        pair = row(f"clip_{number}", ("real", "generated")[number % 2])
        further = {"label": str(-number / 2), "caption": f"/{number} is no path"}
        rows.append(pair | {"lose_path": f"latents/lose_{number}.pt"} | further)
    return write_csv(folder, rows)


def row(name: str, source: str = "generated") -> dict[str, str]:
    return {
        "sample_id": name,
        "source": source,
        "latent_path": f"latents/{name}.pt",
        "text_feat_path": f"text_features/{name}_text.pt",
    }


def write_csv(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "train.csv"
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
