# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import io
import os
import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import metadata as dcp_metadata
from torch.distributed.checkpoint.filesystem import _StorageInfo

from mugv_jax.weights import megatron
from mugv_jax.weights.convert import convert
from mugv_jax.weights.formats import open_source
from tests.weights import checkpoints

HEADS, HEAD_DIM, WIDTH = 4, 24, 96


def rank_files(folder: Path) -> list[dict]:
    paths = sorted(folder.glob("iter_0000001/mp_rank_*/model_optim_rng.pt"))
    return [torch.load(path, weights_only=True)["model"] for path in paths]


def assert_ranks_identical(found: Path, expected: Path) -> None:
    for ours, theirs in zip(rank_files(found), rank_files(expected), strict=True):
        assert list(ours) == list(theirs)
        empty = {name for name, value in theirs.items() if value is None}
        assert {name for name, value in ours.items() if value is None} == empty
        checkpoints.assert_identical(
            *({n: t[n] for n in t if n not in empty} for t in (ours, theirs))
        )


@pytest.fixture
def tensors() -> checkpoints.Tensors:
    tensors = checkpoints.dit_tensors(checkpoints.FOUR_HEADS)
    tensors["y_embedder.y_embedding"] = torch.randn(300, 40)
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}


@pytest.fixture
def dit(tmp_path, tensors) -> Path:
    return checkpoints.save(tmp_path / "dit.pt", tensors)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_legacy_checkpoints_survive_in_both_directions(tmp_path, dit, tensors, ranks):
    first, second = tmp_path / "first", tmp_path / "second"
    convert(dit, first, format="megatron", tensor_parallel=ranks)
    convert(first, tmp_path / "orbax")
    convert(tmp_path / "orbax", second, format="megatron", tensor_parallel=ranks)
    assert len(rank_files(second)) == ranks
    assert_ranks_identical(second, first)
    convert(tmp_path / "orbax", tmp_path / "wide.pt")
    widened = {name: tensor.float() for name, tensor in tensors.items()}
    checkpoints.assert_identical(checkpoints.read(tmp_path / "wide.pt"), widened)
    convert(tmp_path / "orbax", tmp_path / "narrow.pt", dtype="bfloat16")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "narrow.pt"), tensors)


def test_rows_columns_and_heads_have_the_order_of_the_trainer(tmp_path, dit, tensors):
    """Compared element by element with the published layout, for one rank of two."""
    convert(dit, tmp_path / "megatron", format="megatron", tensor_parallel=2)
    assert (tmp_path / "megatron" / "latest_checkpointed_iteration.txt").read_text() == "1"
    ours = rank_files(tmp_path / "megatron")[1]
    published = {name: tensor.float() for name, tensor in tensors.items()}
    for name, theirs, fused in (
        ("attn.qkv", "self_attention.linear_qkv", 3),
        ("cross_attn.q_linear", "cross_attention.linear_q", 1),
        ("cross_attn.kv_linear", "cross_attention.linear_kv", 2),
    ):
        rows = [
            (n * HEADS + head) * HEAD_DIM + row
            for head in (2, 3)  # the second rank's
            for n in range(fused)
            for row in range(HEAD_DIM)
        ]
        for leaf in ("weight", "bias"):
            expected = published[f"blocks.2.{name}.{leaf}"][rows]
            assert torch.equal(ours[f"decoder.layers.2.{theirs}.{leaf}"], expected)
        assert ours[f"decoder.layers.2.{theirs}._extra_state"] is None
    for name, expected in {
        "self_attention.linear_proj.weight": published["blocks.2.attn.proj.weight"][
            :, WIDTH // 2 :
        ],
        "cross_attention.linear_proj.bias": published["blocks.2.cross_attn.proj.bias"],
        "self_attention.q_layernorm.weight": published["blocks.2.attn.q_norm.weight"],
        "cross_attention.k_layernorm.weight": published["blocks.2.cross_attn.k_norm.weight"],
        "pre_cross_attn_layernorm.bias": published["blocks.2.cross_attn_norm.bias"],
        "mlp.linear_fc1.bias": published["blocks.2.mlp.fc1.bias"][2 * WIDTH :],
        "mlp.linear_fc2.weight": published["blocks.2.mlp.fc2.weight"][:, 2 * WIDTH :],
        "scale_shift_table.bias": published["blocks.2.scale_shift_table"],
    }.items():
        assert torch.equal(ours[f"decoder.layers.2.{name}"], expected), name
    for name, other in {
        "timestep_embedder.mlp.0.weight": "t_embedder.mlp.0.weight",
        "timestep_block.1.bias": "t_block.1.bias",
        "context_embedder.proj.fc2.weight": "y_embedder.y_proj.fc2.weight",
        "context_embedder.drop_emb": "y_embedder.y_embedding",
        "final_layer.scale_shift_table.bias": "final_layer.scale_shift_table",
        "fps_embedder.mlp.2.bias": "fps_embedder.mlp.2.bias",
        "x_embedder.proj.weight": "x_embedder.proj.weight",
        "start_token": "start_token",
    }.items():
        assert torch.equal(ours[name], published[other]), name


def test_legacy_folders_that_do_not_fit_together_are_refused(tmp_path, dit):
    folder = tmp_path / "megatron"
    convert(dit, folder, format="megatron", tensor_parallel=2)
    ranks = [folder / "iter_0000001" / f"mp_rank_{rank:02d}" for rank in range(2)]
    file = ranks[1] / "model_optim_rng.pt"
    content = torch.load(file, weights_only=True)

    content["model"]["start_token"] += 1
    torch.save(content, file)
    with pytest.raises(ValueError, match="different values of start_token"):
        convert(folder, tmp_path / "orbax")
    del content["model"]["start_token"]
    torch.save(content, file)
    with pytest.raises(ValueError, match="some ranks lack start_token"):
        convert(folder, tmp_path / "orbax")
    os.rename(file, ranks[1] / "other.pt")
    with pytest.raises(ValueError, match=r"no model_optim_rng\.pt in mp_rank_01"):
        convert(folder, tmp_path / "orbax")
    os.rename(ranks[1], ranks[1].with_name("mp_rank_01_000"))
    with pytest.raises(ValueError, match="tensor parallelism only, every rank"):
        convert(folder, tmp_path / "orbax")
    (folder / "latest_checkpointed_iteration.txt").write_text("7")
    with pytest.raises(ValueError, match="names iteration 7, but iter_0000007 is missing"):
        convert(folder, tmp_path / "orbax")
    assert not (tmp_path / "orbax").exists()


def test_only_the_dit_has_a_megatron_form(tmp_path):
    source = checkpoints.save(tmp_path / "t5.pt", checkpoints.golden_tensors("t5_tiny"))
    with pytest.raises(ValueError, match="knows mugv_dit, not t5_encoder"):
        convert(source, tmp_path / "out", format="megatron")


def stacked(tensors: checkpoints.Tensors) -> checkpoints.Tensors:
    """Weights under the names of a torch_dist checkpoint."""
    layers: dict[str, list[torch.Tensor]] = {}
    out = {}
    for name, tensor in tensors.items():
        entry = megatron.from_published(name)
        if entry.fused > 1:
            rows = tensor.reshape(entry.fused, HEADS, HEAD_DIM, *tensor.shape[1:])
            tensor = rows.swapaxes(0, 1).reshape(tensor.shape)
        module = re.sub(r"^decoder\.layers\.\d+", "decoder.layers", entry.megatron)
        if module == entry.megatron:
            out[module] = tensor
        else:
            layers.setdefault(module, []).append(tensor)
    return out | {name: torch.stack(parts) for name, parts in layers.items()}


def flat_parts(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """An EMA tensor as the distributed optimizer keeps it: (layers, ranks.., flat)."""
    axis = megatron.from_megatron(name.replace("layers.", "layers.0.", 1)).split
    if not name.startswith("decoder.layers."):
        return tensor.reshape(*(1,) * tensor.ndim, -1)
    grid = [1] * (tensor.ndim - 1)
    if axis is None:
        return tensor.reshape(tensor.shape[0], *grid, -1)
    grid[axis] = 2
    parts = torch.stack(tensor.chunk(2, axis + 1), 1)  # (layers, 2, ...)
    return parts.reshape(tensor.shape[0], *grid, -1)


def dist_folder(path: Path, tensors: checkpoints.Tensors, ema: checkpoints.Tensors) -> Path:
    """A torch_dist folder as the trainer writes it, with entries that are not weights."""
    folder = path / "iter_0000012"
    weights = stacked(tensors)
    prefix = "optimizer.state.exp_moving_avg."
    state = {
        **weights,
        **{f"{prefix}{name}": flat_parts(name, t) for name, t in stacked(ema).items()},
        "optimizer.state.exp_avg.start_token": torch.zeros(4),
        "decoder.layers.mlp.linear_fc1._extra_state/shard_0_3": io.BytesIO(b"x"),
        "rng_state/shard_0_1": io.BytesIO(b"x"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about process groups
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    (path / "latest_checkpointed_iteration.txt").write_text("12\n")
    return path


def test_torch_dist_folders_are_read_without_a_process_group(tmp_path, tensors):
    average = {name: tensor.float() * 0.5 for name, tensor in tensors.items()}
    folder = dist_folder(tmp_path / "dist", tensors, average)
    convert(folder, tmp_path / "weights.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "weights.pt"), tensors)
    convert(folder / "iter_0000012", tmp_path / "orbax", ema=True)
    convert(tmp_path / "orbax", tmp_path / "ema.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "ema.pt"), average)


def test_torch_dist_chunks_of_many_ranks_are_joined(tmp_path, tensors):
    """Every tensor cut in two along its first and last axis, some parts stored transposed."""
    folder = tmp_path / "iter_0000001"
    folder.mkdir()
    entries, storage = {}, {}
    with open(folder / "__0_0.distcp", "wb") as file:
        for name, tensor in stacked(tensors).items():
            chunks = []
            for part, offsets in pieces(tensor):
                start = file.tell()
                kept = part.clone() if len(chunks) % 2 or part.ndim < 2 else part.mT.contiguous().mT
                torch.save(kept, file)
                chunk = dcp_metadata.ChunkStorageMetadata(torch.Size(offsets), part.size())
                chunks.append(chunk)
                index = dcp_metadata.MetadataIndex(name, torch.Size(offsets), len(chunks) - 1)
                storage[index] = _StorageInfo("__0_0.distcp", start, file.tell() - start)
            properties = dcp_metadata.TensorProperties(dtype=tensor.dtype)
            entries[name] = dcp_metadata.TensorStorageMetadata(properties, tensor.size(), chunks)
    metadata = dcp_metadata.Metadata(entries, storage_data=storage)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    convert(folder, tmp_path / "out.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "out.pt"), tensors)

    del storage[next(iter(storage))]
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    with pytest.raises(ValueError, match="not the whole metadata"):
        open_source(folder)


def pieces(tensor: torch.Tensor) -> list[tuple[torch.Tensor, tuple[int, ...]]]:
    out = []
    for top, rows in zip((0, tensor.shape[0] // 2), tensor.tensor_split((tensor.shape[0] // 2,))):
        half = tensor.shape[-1] // 2
        if tensor.ndim == 1:
            out.append((rows, (top,)))
            continue
        for left, part in zip((0, half), rows.tensor_split((half,), -1)):
            out.append((part, (top, *(0,) * (tensor.ndim - 2), left)))
    return [(part, offsets) for part, offsets in out if part.numel()]


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_torch_dist_folders_that_are_damaged_or_hostile_are_refused(tmp_path, tensors):
    folder = dist_folder(tmp_path / "dist", tensors, {}) / "iter_0000012"
    with pytest.raises(ValueError, match="holds no EMA weights"):
        convert(folder, tmp_path / "orbax", ema=True)
    data = next(folder.glob("*.distcp"))
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="ends too early"):
        convert(folder, tmp_path / "orbax")
    data.unlink()
    with pytest.raises(ValueError, match=f"lacks {data.name}"):
        convert(folder, tmp_path / "orbax")
    (folder / ".metadata").write_bytes(pickle.dumps(Attack(tmp_path / "owned")))
    with pytest.raises(ValueError, match="unpickling it could run code"):
        convert(folder, tmp_path / "orbax")
    assert sorted(os.listdir(tmp_path)) == ["dist"]
