# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import argparse
import gc
import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import orbax.checkpoint as ocp
import pytest
import safetensors.torch
import torch
from flax import traverse_util

from mugv_jax import cli
from mugv_jax.commands import convert as command
from mugv_jax.weights import checksums, parameters, store
from mugv_jax.weights.convert import convert
from mugv_jax.weights.formats import open_source
from mugv_jax.weights.load import load
from mugv_jax.weights.staging import staged
from tests.weights import checkpoints


def half(tensors: checkpoints.Tensors) -> checkpoints.Tensors:
    return {name: tensor.bfloat16() for name, tensor in tensors.items()}


def test_a_folder_that_an_interrupted_writer_makes_again_is_removed_again(tmp_path, monkeypatch):
    remove, late = shutil.rmtree, iter(range(2))

    def remove_while_a_thread_writes(folder, **options):
        remove(folder, **options)
        for _ in itertools.islice(late, 1):
            (folder / "late").mkdir(parents=True)

    monkeypatch.setattr(shutil, "rmtree", remove_while_a_thread_writes)
    with staged(tmp_path / "out", overwrite=False) as partial:
        partial.mkdir()
    assert not list(late)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        ("mugdit_tiny", torch.float32),
        ("mugdit_odd", torch.bfloat16),
        ("vae_tiny", torch.float32),
        ("t5_tiny", torch.bfloat16),
    ],
)
def test_to_orbax_and_back_keeps_every_bit(tmp_path, case, dtype):
    tensors = {k: v.to(dtype) for k, v in checkpoints.golden_tensors(case).items()}
    convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    convert(tmp_path / "orbax", tmp_path / "out.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "out.pt"), tensors)
    convert(tmp_path / "orbax", tmp_path / "out.safetensors")
    stored = safetensors.torch.load_file(tmp_path / "out.safetensors")
    checkpoints.assert_identical(stored, tensors)
    convert(tmp_path / "out.safetensors", tmp_path / "again")
    assert open_source(tmp_path / "again").kind == open_source(tmp_path / "orbax").kind
    convert(tmp_path / "again", tmp_path / "again.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "again.pt"), tensors)


def test_layers_of_different_dtypes_and_optional_tensors_survive(tmp_path):
    tensors = checkpoints.golden_tensors("mugdit_tiny")
    tensors["blocks.0.mlp.fc1.weight"] = tensors["blocks.0.mlp.fc1.weight"].bfloat16()
    tensors["blocks.0.attn.proj.bias"] = tensors["blocks.0.attn.proj.bias"].half()
    tensors["blocks.1.attn.proj.bias"] = tensors["blocks.1.attn.proj.bias"].bfloat16()
    tensors["y_embedder.y_embedding"] = torch.randn(300, 64).half()
    convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    convert(tmp_path / "orbax", tmp_path / "out.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "out.pt"), tensors)


def test_layers_without_a_common_dtype_are_refused(tmp_path):
    tensors = checkpoints.golden_tensors("mugdit_tiny")
    tensors["blocks.0.mlp.fc1.bias"] = tensors["blocks.0.mlp.fc1.bias"].long()
    with pytest.raises(ValueError, match=r"blocks\.0\.mlp\.fc1\.bias int64"):
        convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    assert os.listdir(tmp_path) == ["in.pt"]


def test_plain_orbax_restores_the_checkpoint(tmp_path):
    tensors = half(checkpoints.golden_tensors("vae_tiny"))
    convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    with ocp.StandardCheckpointer() as checkpointer:
        tree = checkpointer.restore(tmp_path / "orbax")
    unused = tree.pop("unused")
    assert set(unused) < set(tensors)
    for name, array in unused.items():
        assert array.tobytes() == checkpoints.bits(tensors[name])[2], name
    _, variables = load(tmp_path / "in.pt")
    checkpoints.assert_trees_identical(variables, tree)


def test_every_problem_is_reported_at_once_and_nothing_is_written(tmp_path):
    tensors = checkpoints.golden_tensors("mugdit_tiny")
    del tensors["blocks.1.attn.proj.bias"], tensors["final_layer.linear.bias"]
    tensors["blocks.0.mlp.fc3.weight"] = torch.zeros(2)
    tensors["end_token"] = torch.zeros(7)
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    with pytest.raises(ValueError, match=r"in\.pt: does not fit mugv_dit") as error:
        convert(source, tmp_path / "orbax")
    message = str(error.value)
    assert "2 missing: " in message
    for problem in (
        "blocks.1.attn.proj.bias",
        "final_layer.linear.bias",
        "1 unexpected: blocks.0.mlp.fc3.weight",
        "1 misshapen: end_token is (7,), must be (144,)",
    ):
        assert problem in message
    assert os.listdir(tmp_path) == ["in.pt"]


def test_unknown_models_are_refused(tmp_path):
    source = checkpoints.save(tmp_path / "in.pt", {"weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"no known model: none of its 1 tensors \(weight\)"):
        convert(source, tmp_path / "orbax")
    dit = checkpoints.save(tmp_path / "dit.pt", checkpoints.golden_tensors("mugdit_tiny"))
    with pytest.raises(ValueError, match="not a T5"):
        convert(dit, tmp_path / "orbax", kind="t5_encoder")
    with pytest.raises(ValueError, match="there is no such file"):
        convert(tmp_path / "absent.pt", tmp_path / "orbax")
    with pytest.raises(ValueError, match="no checkpoint in this folder"):
        convert(tmp_path, tmp_path / "orbax")


def test_invalid_options_are_refused(tmp_path):
    source = checkpoints.save(tmp_path / "in.pt", checkpoints.golden_tensors("mugdit_tiny"))
    for options, message in (
        ({"tensor_parallel": 2}, "tensor_parallel=2"),
        ({"tensor_parallel": 0, "format": "megatron"}, "tensor_parallel=0"),
        ({"format": "zip"}, "'zip' must be one of orbax"),
        ({"format": "torch"}, "is torch already"),
        ({"kind": "clip"}, "'clip' must be one of"),
        ({"dtype": "int8"}, "'int8' must be a floating type"),
        ({"ema": True}, "must hold one set of EMA weights"),
        ({"tensor_parallel": 4, "format": "megatron"}, "must divide the 2 heads"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            convert(source, tmp_path / "out", **options)
    assert os.listdir(tmp_path) == ["in.pt"]


def test_a_cast_leaves_constants_unchanged(tmp_path):
    tensors = checkpoints.golden_tensors("vae_tiny")
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    convert(source, tmp_path / "orbax", dtype="bfloat16")
    convert(tmp_path / "orbax", tmp_path / "out.pt")
    constants = ("shift", "scale")
    cast = {name: t if name in constants else t.bfloat16() for name, t in tensors.items()}
    checkpoints.assert_identical(checkpoints.read(tmp_path / "out.pt"), cast)


def test_an_existing_checkpoint_is_only_replaced_by_a_complete_one(tmp_path, monkeypatch):
    first = half(checkpoints.golden_tensors("mugdit_tiny"))
    second = {name: tensor + 1 for name, tensor in first.items()}
    convert(checkpoints.save(tmp_path / "first.pt", first), tmp_path / "orbax")
    checkpoints.save(tmp_path / "second.pt", second)
    with pytest.raises(ValueError, match="exists; pass --overwrite"):
        convert(tmp_path / "second.pt", tmp_path / "orbax")

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.LazyTensor, "pieces", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(tmp_path / "second.pt", tmp_path / "orbax", overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["first.pt", "orbax", "second.pt"]
    convert(tmp_path / "orbax", tmp_path / "kept.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "kept.pt"), first)

    convert(tmp_path / "second.pt", tmp_path / "orbax", overwrite=True)
    convert(tmp_path / "orbax", tmp_path / "kept.pt", overwrite=True)
    checkpoints.assert_identical(checkpoints.read(tmp_path / "kept.pt"), second)


@pytest.mark.parametrize(
    ("name", "format"),
    [("out.pt", None), ("out.safetensors", None), ("out", "megatron"), ("out", "orbax")],
)
def test_a_full_disk_is_one_error_and_leaves_nothing(name, format, tmp_path):
    source = checkpoints.save(tmp_path / "in.pt", checkpoints.golden_tensors("mugdit_tiny"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * 2**10, limits[1]))
    try:
        with pytest.raises(ValueError, match=rf"{name}: cannot be written \(File too large\)"):
            convert(source, tmp_path / name, format=format, dtype="bfloat16")
        gc.collect()  # what is closed again then would be an error that nobody can catch
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["in.pt"]


def test_a_replaced_checkpoint_is_put_back_after_a_kill(tmp_path):
    """Killed between the two renames: the older folder has no name, the newer one not yet."""
    held = tmp_path / ".orbax.partial-0" / "replaced"
    held.mkdir(parents=True)
    (held / "_METADATA").touch()
    with (
        pytest.raises(ValueError, match="exists; pass --overwrite"),
        staged(tmp_path / "orbax", overwrite=False),
    ):
        pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["_METADATA", "orbax"]


def test_other_folders_are_never_replaced(tmp_path):
    tensors = checkpoints.golden_tensors("t5_tiny")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"x")
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    with pytest.raises(ValueError, match="is a folder but no checkpoint"):
        convert(source, tmp_path / "photos", overwrite=True)
    with pytest.raises(ValueError, match="lies inside"):
        convert(source, tmp_path, overwrite=True, format="orbax")
    assert (tmp_path / "photos" / "holiday.jpg").exists()
    (tmp_path / "empty").mkdir()
    convert(source, tmp_path / "empty")
    assert open_source(tmp_path / "empty").kind == "t5_encoder"


STALLED = """
import signal, sys
from mugv_jax.weights import store
from mugv_jax.weights.convert import convert

def stall(size, write=store.LazyTensor.pieces):
    for number, piece in enumerate(write(size)):
        yield piece
        sys.stdout.write("writing\\n")
        sys.stdout.flush()
        signal.pause()

store.LazyTensor.pieces = stall
convert(sys.argv[1], sys.argv[2])
"""


def test_a_killed_conversion_leaves_nothing_that_looks_complete(tmp_path):
    tensors = checkpoints.golden_tensors("t5_tiny")
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    command = [sys.executable, "-c", STALLED, str(source), str(tmp_path / "orbax")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "orbax").exists()
    (partial,) = (path for path in tmp_path.iterdir() if path.name != "in.pt")
    assert partial.name.startswith(".orbax.partial-")

    convert(source, tmp_path / "orbax")
    assert sorted(os.listdir(tmp_path)) == ["in.pt", "orbax"]
    convert(tmp_path / "orbax", tmp_path / "out.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "out.pt"), tensors)


def test_no_stack_of_layers_is_ever_whole_in_memory(tmp_path, monkeypatch):
    """No piece exceeds one tensor of the file under a small budget, and the bits are the same."""
    tensors = checkpoints.dit_tensors(checkpoints.FOUR_HEADS)
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    budget = tensors["blocks.0.mlp.fc1.weight"].nbytes
    sizes = []

    def pieces(lazy, box=None, whole=parameters.LazyTensor.pieces):
        for index, piece in whole(lazy, box):
            sizes.append(piece.nbytes)
            yield index, piece

    monkeypatch.setattr(parameters, "PIECE_BYTES", budget)
    monkeypatch.setattr(store, "PIECE_BYTES", budget)
    monkeypatch.setattr(parameters.LazyTensor, "pieces", pieces)
    convert(source, tmp_path / "orbax")
    assert sum(sizes) == sum(tensor.nbytes for tensor in tensors.values())
    assert max(sizes) == max(tensor.nbytes for tensor in tensors.values())
    convert(tmp_path / "orbax", tmp_path / "out.pt")
    checkpoints.assert_identical(checkpoints.read(tmp_path / "out.pt"), tensors)


def test_command_line(tmp_path):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    tensors = half(checkpoints.dit_tensors(checkpoints.FOUR_HEADS))
    source = checkpoints.save(tmp_path / "in.pt", tensors)
    megatron, back = tmp_path / "megatron", tmp_path / "back.pt"
    steps = (
        [str(source), str(megatron), "--format", "megatron", "--tensor-parallel", "2"],
        [str(megatron), str(back), "--dtype", "bfloat16", "--model", "mugv_dit"],
    )
    for step in steps:
        command.run(parser.parse_args(step))
    checkpoints.assert_identical(checkpoints.read(back), tensors)


def test_metadata_describes_the_checkpoint(tmp_path):
    tensors = half(checkpoints.golden_tensors("mugdit_tiny"))
    convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    with ocp.PyTreeCheckpointer() as checkpointer:
        step = checkpointer.metadata(tmp_path / "orbax")
    stated = step.custom_metadata["mugv_jax"]
    assert (stated["kind"], stated["source_format"]) == ("mugv_dit", "torch")
    assert stated["config"]["width"] == 144
    leaves = traverse_util.flatten_dict(step.item_metadata.tree, sep="/")
    assert {str(np.dtype(leaf.dtype)) for leaf in leaves.values()} == {"bfloat16"}


def test_damaged_and_outdated_orbax_folders_are_refused(tmp_path, monkeypatch):
    tensors = checkpoints.golden_tensors("t5_tiny")
    convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    with monkeypatch.context() as patch:
        patch.setattr(store, "layout", lambda _table: "another")
        with pytest.raises(ValueError, match="laid t5_encoder out differently"):
            open_source(tmp_path / "orbax")
    (tmp_path / "orbax" / "_METADATA").write_text("{")
    with pytest.raises(ValueError, match="damaged Orbax checkpoint"):
        open_source(tmp_path / "orbax")
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "foreign", {"w": np.zeros(2)})
    with pytest.raises(ValueError, match="must come from `mugv-jax convert`"):
        open_source(tmp_path / "foreign")


@pytest.fixture
def orbax(tmp_path):
    """An Orbax checkpoint of a T5 in the folder "orbax"."""
    tensors = checkpoints.golden_tensors("t5_tiny")
    convert(checkpoints.save(tmp_path / "in.pt", tensors), tmp_path / "orbax")
    return tmp_path / "orbax"


@pytest.mark.parametrize("place", [0.0, 0.3, 0.97])
def test_overwritten_bytes_are_found_before_values_are_used(orbax, tmp_path, place, capsys):
    file = max((path for path in orbax.rglob("*") if path.is_file()), key=os.path.getsize)
    content = bytearray(file.read_bytes())
    start = int(place * (len(content) - 100))
    content[start : start + 100] = bytes(255 - x for x in content[start : start + 100])
    file.write_bytes(content)
    damaged = re.escape(f"{orbax}: a damaged checkpoint: 1 of ")
    with pytest.raises(ValueError, match=rf"{damaged}.*{file.name}"):
        convert(orbax, tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()
    with pytest.raises(ValueError, match=damaged):
        load(orbax)
    assert cli.main(["info", str(orbax), "--verify"]) == 2
    assert "a damaged checkpoint" in capsys.readouterr().err


def test_checkpoints_without_checksums_are_read_and_described_so(orbax, tmp_path, capsys):
    assert cli.main(["info", str(orbax), "--verify"]) == 0
    assert f"agree with {checksums.FILE}" in capsys.readouterr().out
    (orbax / checksums.FILE).unlink()
    convert(orbax, tmp_path / "out.pt")
    assert cli.main(["info", str(orbax), "--verify"]) == 0
    assert "not verified: orbax without checksums" in capsys.readouterr().out
    assert cli.main(["info", str(tmp_path / "out.pt"), "--verify"]) == 0
    assert "1 file agree" in capsys.readouterr().out


def test_results_are_not_written_over_or_inside_of_their_source(
    orbax, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    dit = checkpoints.golden_tensors("mugdit_tiny")
    checkpoints.save(tmp_path / "dit.pt", dit)
    (tmp_path / "link").symlink_to(orbax)
    (tmp_path / "dit_link.pt").symlink_to("dit.pt")
    before = {path: path.read_bytes() for path in orbax.rglob("*") if path.is_file()}
    for words, message in (
        (["convert", orbax, orbax / "new.pt"], "lies inside"),
        (["convert", "orbax", "link/d/new.pt"], "lies inside"),
        (["convert", "link", orbax / "new"], "lies inside"),
        (["convert", orbax, "./orbax", "--overwrite", "--dtype", "bfloat16"], "itself"),
        (["convert", "dit.pt", "dit_link.pt", "--overwrite", "--dtype", "bfloat16"], "itself"),
        (["expand", "dit.pt", "dit.pt", "--factor", "2", "--overwrite"], "itself"),
        (["expand", "dit.pt", tmp_path / "dit_link.pt", "--factor", "2", "--overwrite"], "itself"),
        (["average", "dit.pt", "orbax", "orbax", "--decay", "1", "--overwrite"], "itself"),
        (["convert", "dit.pt", "orbax", "--lora", "orbax", "--overwrite"], "itself"),
    ):
        assert cli.main([*map(str, words)]) == 2, words
        assert message in capsys.readouterr().err, words
    assert before == {path: path.read_bytes() for path in orbax.rglob("*") if path.is_file()}
    checkpoints.assert_identical(checkpoints.read(tmp_path / "dit.pt"), dit)
