# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import itertools
import json
import pickle
import re
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors.torch
import torch

from mugv_jax.weights import torch_files
from mugv_jax.weights.formats import open_source, open_writer
from mugv_jax.weights.sources import TensorSpec
from tests.weights import checkpoints

# One tensor of every kind: scalar, empty, wide, strided, an integer, and the types numpy lacks.
TENSORS = {
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0, 3),
    "half": torch.randn(5).half(),
    "brain": torch.randn(4, 3, 2).bfloat16(),
    "strided": torch.randn(6, 4).T[::2],
    "wide": torch.randn(3).double(),
    "count": torch.arange(7),
    "flags": torch.tensor([True, False]),
    "bytes": torch.arange(5, dtype=torch.uint8),
}


def from_numpy(array: np.ndarray) -> torch.Tensor:
    array = np.ascontiguousarray(array) if array.ndim else array.copy()
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def read_all(path) -> checkpoints.Tensors:
    with open_source(path) as source:
        return {name: from_numpy(source.read(name)) for name in source.specs}


def copy(source_path, target_path, format_name) -> None:
    with open_source(source_path) as source:
        writer = open_writer(target_path, format_name, source.specs, tensor_parallel=1)
        with writer:
            for name in reversed(source.specs):
                writer.add(name, source.read(name))


def test_torch_files_are_read_and_written_as_torch_does(tmp_path):
    path = checkpoints.save(tmp_path / "in.pt", TENSORS)
    checkpoints.assert_identical(read_all(path), TENSORS)
    with torch_files.TorchSource(path, mapped_bytes=0) as source:
        remapped = {name: from_numpy(source.read(name)) for name in [*TENSORS] * 2}
    checkpoints.assert_identical(remapped, TENSORS)
    copy(path, tmp_path / "out.pt", "torch")
    for mmap in (False, True):
        found = torch.load(tmp_path / "out.pt", weights_only=True, mmap=mmap)
        assert list(found) == list(TENSORS)
        checkpoints.assert_identical(found, TENSORS)
        aligned = (t.data_ptr() % torch_files.ALIGNMENT for t in found.values() if t.numel())
        assert not mmap or not any(aligned)
    with zipfile.ZipFile(tmp_path / "out.pt") as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("mapped_bytes", [0, 1000, 4096])
def test_a_torch_file_is_mapped_again_before_it_holds_too_much(tmp_path, mapped_bytes, monkeypatch):
    """Pages that were read stay resident as long as the mapping that they belong to."""
    tensors = {str(i): torch.zeros(size) for i, size in enumerate([100, 150, 50, 700, 20, 20, 200])}
    path, mappings = checkpoints.save(tmp_path / "in.pt", tensors), []

    def load_plain(*arguments, original=torch_files.load_plain, **options):
        assert options["mmap"]
        mappings.append([])
        return original(*arguments, **options)

    monkeypatch.setattr(torch_files, "load_plain", load_plain)
    with torch_files.TorchSource(path, mapped_bytes=mapped_bytes) as source:
        for name in source.specs:
            mapped = source.read(name)
            mappings[-1].append(mapped.nbytes)
    assert [*itertools.chain(*mappings)] == [tensor.nbytes for tensor in tensors.values()]
    assert all(sum(each) <= mapped_bytes or len(each) == 1 for each in mappings)
    # Not more often than that: two neighbours never fit into one mapping.
    for one, other in itertools.pairwise(mappings):
        assert sum(one) + other[0] > mapped_bytes


def test_safetensors_files_are_read_and_written_as_the_library_does(tmp_path):
    tensors = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    tensors["eighth"] = torch.randn(6).to(torch.float8_e4m3fn)
    safetensors.torch.save_file(tensors, tmp_path / "in.safetensors")
    copy(tmp_path / "in.safetensors", tmp_path / "out.safetensors", "safetensors")
    found = safetensors.torch.load_file(tmp_path / "out.safetensors")
    checkpoints.assert_identical(found, tensors)


@pytest.mark.parametrize(
    ("wrapped", "ema", "expected"),
    [
        ({"state_dict": {"w": 1}, "epoch": 3}, False, 1),
        ({"module": {"w": 1}}, False, 1),
        ({"ema": {"w": 2}}, False, 2),
        ({"model": {"w": 1}, "ema": {"w": 2}}, False, 1),
        ({"model": {"w": 1}, "ema": {"w": 2}}, True, 2),
    ],
)
def test_wrapped_state_dicts_are_unwrapped(tmp_path, wrapped, ema, expected):
    content = {
        key: {n: torch.tensor(float(v)) for n, v in value.items()} if key != "epoch" else value
        for key, value in wrapped.items()
    }
    torch.save(content, tmp_path / "in.pt")
    with open_source(tmp_path / "in.pt", ema=ema) as source:
        assert list(source.specs) == ["w"]
        assert source.read("w") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list, not a dictionary"),
        ({}, "must hold tensors only; found nothing"),
        ({"w": torch.zeros(1), "epoch": 3}, "must hold tensors only; found epoch"),
        ({"model": {}, "state_dict": {}}, "one set of weights under one of state_dict"),
        ({"w": torch.zeros(2, 2).to_sparse()}, "w is torch.float32, torch.sparse_coo"),
    ],
)
def test_files_without_a_plain_state_dict_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "in.pt")
    with pytest.raises(ValueError, match=re.escape(message)):
        open_source(tmp_path / "in.pt")


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path):
    torch.save({"w": Attack(tmp_path / "owned")}, tmp_path / "in.pt")
    with pytest.raises(ValueError, match=r"in\.pt: holds more than plain tensors") as error:
        open_source(tmp_path / "in.pt")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "owned").exists()


def test_damaged_files_are_refused_in_one_line(tmp_path):
    whole = checkpoints.save(tmp_path / "whole.pt", TENSORS).read_bytes()
    tensors = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    safe = safetensors.torch.save(tensors)
    (tmp_path / "zip.pt").touch()
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    for name, content, message in (
        ("short.pt", whole[: len(whole) // 2], "ends too early"),
        ("empty.pt", b"", "not a zip file of torch.save"),
        ("old.pt", pickle.dumps({"w": 1}), "not a zip file of torch.save"),
        ("zip.pt", (tmp_path / "zip.pt").read_bytes(), "not a readable torch file"),
        ("short.safetensors", safe[:-3], "ends too early"),
        ("stub.safetensors", safe[:20], "not a safetensors file"),
        ("odd.safetensors", safe.replace(b'"BOOL"', b'"BOOM"'), "entry of flags is damaged"),
        ("list.safetensors", b"\x02" + bytes(7) + b"[]", "not a safetensors file"),
        ("empty.safetensors", b"", "not a safetensors file"),
        ("text.safetensors", b"hello, this is not a checkpoint", "not a safetensors file"),
        ("notes.txt", b"hello", "must be a folder, or a file that ends in"),
        ("model.bin.index.json", b"[]", "not an index of weights"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=re.escape(f"{tmp_path / name}: ")) as error:
            open_source(tmp_path / name)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_dtypes_that_a_format_lacks_are_refused(tmp_path):
    complex_spec = {"w": TensorSpec((2,), np.dtype(np.complex64))}
    for format_name in ("torch", "safetensors"):
        with pytest.raises(ValueError, match="cannot hold complex64"):
            open_writer(tmp_path / "out", format_name, complex_spec, tensor_parallel=1)
    assert not (tmp_path / "out").exists()


def test_a_hugging_face_folder_in_shards_is_read_whole(tmp_path):
    names = list(TENSORS)
    homes = {name: f"pytorch_model-{1 + i % 2:05d}-of-00002.bin" for i, name in enumerate(names)}
    for shard in set(homes.values()):
        part = {name: TENSORS[name] for name in names if homes[name] == shard}
        torch.save(part, tmp_path / shard)
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": homes}))
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    checkpoints.assert_identical(read_all(tmp_path), TENSORS)
    checkpoints.assert_identical(read_all(index), TENSORS)
    with open_source(tmp_path) as source:
        assert source.config == {"model_type": "t5"}
        assert source.format == "sharded torch"

    index.write_text(json.dumps({"weight_map": homes | {"ghost": homes["scalar"]}}))
    with pytest.raises(ValueError, match="names tensors that its shards lack: ghost"):
        open_source(tmp_path)
    (tmp_path / homes["scalar"]).unlink()
    with pytest.raises(ValueError, match="1 of 2 shards are missing: pytorch_model-00001"):
        open_source(tmp_path)


def test_shards_under_the_names_of_the_mugv_trainer_are_found(tmp_path):
    torch.save(TENSORS, tmp_path / "pytorch_model-00001.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(TENSORS, "model-00001.bin")}))
    checkpoints.assert_identical(read_all(tmp_path), TENSORS)
