# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Broken and hostile files: generators of cases, as in `options.py`."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from tests.fuzz.options import DEBUG, ENHANCER, RANDOM, TRAIN
from tests.fuzz.verdict import RAN, Case

DEMO = Path(__file__).parents[2] / "mugv_jax" / "assets" / "demo"
DEEP = 100_000


class Foreign:
    """An object that runs a program when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {RAN}",)


def bad_json(rng: Random) -> tuple[str, bytes]:
    """Kind and bytes of JSON that nothing should take."""
    texts: dict[str, bytes] = {
        "deep": b"[" * DEEP + b"]" * DEEP,
        "deep_dict": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "rather_deep": b'{"a":' * 400 + b"1" + b"}" * 400,
        "empty": b"",
        "list": b"[]",
        "null": b"null",
        "number": b"7",
        "digits": b'{"steps": ' + b"9" * 6000 + b"}",
        "wide": b'{"steps": ' + b"9" * 40 + b"}",
        "float": b'{"guidance": 1e999, "size": 1e999}',
        "nan": b'{"guidance": NaN}',
        "utf16": '{"steps": 2}'.encode("utf-16"),
        "latin": '{"negative_prompt": "caf\u00e9"}'.encode("latin-1"),
        "surrogate": b'{"negative_prompt": "\\ud800"}',
        "cut": b'{"steps": 2, "gui',
        "zeros": bytes(5000),
        "names": json.dumps({f"name{i}" * 9: i for i in range(3000)}).encode(),
        "types": b'{"steps": [1], "size": {"a": 1}, "fps": true}',
    }
    return rng.choice(list(texts.items()))


def defaults(rng: Random, here: Path) -> Case:
    """A weights folder whose small files are broken."""
    kind, content = bad_json(rng)
    folder = here / "weights"
    shutil.copytree(DEMO, folder, copy_function=os.symlink)
    name = rng.choice(("defaults.json", "text_encoder/config.json"))
    (folder / name).unlink()
    if rng.random() < 0.1:
        kind = "pipe"
        os.mkfifo(folder / name)
    else:
        (folder / name).write_bytes(content)
    fine = name.startswith("text") and kind in ("names", "types", "surrogate")
    argv = ("generate", "a red star", "--weights", "weights")
    if name.startswith("text"):
        argv = ("info", "weights", "--size", "64x64", "--frames", "17")
        fine = fine or kind in ("pipe", "rather_deep") or True
    return Case(
        f"{name} {kind}", argv, (name, "defaults.json", "config.json", "text_encoder"), fine
    )


def safetensors(rng: Random, here: Path) -> Case:
    """A safetensors file with a damaged header or data."""
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    headers: dict[str, object] = {
        "negative": {"a": entry | {"shape": [-2, -2]}},
        "huge": {"a": entry | {"shape": [10**15, 10**15]}},
        "overflow": {"a": entry | {"shape": [10**18, 10**18], "data_offsets": [0, 2**63 - 1]}},
        "float": {"a": entry | {"shape": [2.0, 2]}},
        "dtype": {"a": entry | {"dtype": "F3"}},
        "types": {"a": entry | {"dtype": ["F32"]}},
        "list": {"a": [1]},
        "overlap": {"a": entry, "b": entry},
        "ends": {"a": entry | {"data_offsets": [16, 0]}},
        "layers": {f"blocks.{n}.attn.qkv.weight": entry for n in (0, 10**6, 10**30)},
        "layers_1": {f"encoder.block.{n}.layer.0.SelfAttention.q.weight": entry for n in (0, 9**9)},
        "many": {"n" * 90 + str(n): entry | {"shape": [n + 5]} for n in range(3000)},
        "unknown": {"paint": entry},
        "empty": {},
        "metadata": {"__metadata__": 5, "a": {}},
    }
    kind = rng.choice([*headers, "json", "json", "length", "cut", "index"])
    path = here / "x.safetensors"
    header = json.dumps(headers.get(kind, headers["unknown"])).encode()
    if kind == "json":
        what, header = bad_json(rng)
        kind = f"json {what}"
    length = 2**62 if kind == "length" else len(header)
    path.write_bytes(struct.pack("<Q", length)[: 5 if kind == "cut" else 8] + header + bytes(16))
    if kind == "index":
        kind, path = f"index {kind}", here / "x.safetensors.index.json"
        what, content = bad_json(rng)
        escape = json.dumps({"weight_map": {"a": "../../etc/passwd", "b": "/dev/zero"}}).encode()
        path.write_bytes(rng.choice((content, escape)))
    return _read(rng, f"safetensors {kind}", path)


def torch_file(rng: Random, here: Path) -> Case:
    """A torch file that is damaged, hostile, or larger than its bytes."""
    path = here / rng.choice(("x.pt", "x.bin", "x.pth"))
    one = torch.ones(4, 4)
    nested: list = []
    for _ in range(rng.choice((50, 300))):  # more cannot be saved
        nested = [nested]
    contents: dict[str, object] = {
        "code": {"a": Foreign()},
        "meta": {"a": torch.empty(10**9, device="meta")},
        "declared": {"a": one[0, :1].expand(10**13)},
        "sparse": {"a": one.to_sparse()},
        "names": {1: one, "b": one},
        "nested": {"a": nested},
        "list": [one],
        "layers": {f"blocks.{n}.attn.qkv.weight": one for n in (0, 10**7)},
        "layers_1": {f"encoder.block.{n}.layer.0.SelfAttention.q.weight": one for n in (0, 10**8)},
        "surrogate": {"\udcff": one},
        "empty": {},
        "wrapped": {"model": {"a": one}, "state_dict": {"b": one}},
        "many": {f"{'n' * 60}{n}": one for n in range(2000)},
    }
    kind = rng.choice(
        [*contents, "bomb", "flip", "cut", "text", "pickle", "stack", "pipe", "index"]
    )
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "text":
        path.write_text("no weights")
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Foreign()))
    elif kind in ("bomb", "stack", "index"):
        record = {"bomb": b"", "stack": b"\x80\x02" + b"(" * 10**5 + b".", "index": b"\x80\x02e."}[
            kind
        ]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if kind == "bomb" else 0) as archive:
            archive.writestr("x/version", "3\n")
            archive.writestr("x/data.pkl", record or pickle.dumps({"a": 1}))
            if kind == "bomb":
                archive.writestr("x/data/0", bytes(100 * 10**6))
    else:
        buffer = io.BytesIO()
        torch.save(contents.get(kind, {"a": one}), buffer)
        content = bytearray(buffer.getvalue())
        if kind == "cut":
            content = content[: rng.randrange(1, len(content))]
        if kind == "flip":
            for _ in range(rng.randrange(1, 40)):
                content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content)
    return _read(rng, f"torch {kind}", path)


def folders(rng: Random, here: Path) -> Case:
    """A folder of weights whose index is broken: Orbax, Megatron, torch.distributed."""
    folder = here / "folder"
    folder.mkdir()
    what, content = bad_json(rng)
    kind = rng.choice(("_METADATA", "tracker", ".metadata", "metadata", "config.json", "adapter"))
    if kind == "_METADATA":
        (folder / kind).write_bytes(content)
    elif kind == "tracker":
        text = rng.choice((b"\xff\xfe", b"9" * 5000, b"../..", b"12", "²".encode(), b""))
        (folder / "latest_checkpointed_iteration.txt").write_bytes(text)
    elif kind == ".metadata":
        damaged = rng.choice(
            (pickle.dumps(Foreign()), b"", content, b"\x80\x04" + b"]" * 10**5 + b".")
        )
        (folder / kind).write_bytes(damaged)
    elif kind == "metadata":
        (folder / ".metadata").write_bytes(_large_metadata(rng))
        (folder / "__0_0.distcp").write_bytes(bytes(100))
    elif kind == "adapter":
        (folder / "adapter_config.json").write_bytes(content)
        (folder / "adapter_model.safetensors").write_bytes(b"")
        argv = ("convert", str(DEMO / "dit.safetensors"), "made.pt", "--lora", "folder")
        return Case(f"folder {kind} {what}", argv, ("adapter_config.json", "folder"))
    else:
        (folder / "config.json").write_bytes(content)
        shutil.copy(DEMO / "text_encoder" / "model.safetensors", folder)
        fine = what in ("names", "types", "wide", "rather_deep")
        return _read(rng, f"folder {kind} {what}", folder, fine=fine)
    return _read(rng, f"folder {kind} {what}", folder)


def _large_metadata(rng: Random) -> bytes:
    """Metadata of torch.distributed.checkpoint with sizes that no machine has."""
    from torch.distributed.checkpoint import metadata as dcp
    from torch.distributed.checkpoint.filesystem import _StorageInfo

    size = rng.choice(([10**14], [10**6, 10**9], [10**12, 0], [-4, -4], [4, 4]))
    chunk = dcp.ChunkStorageMetadata(
        torch.Size([0] * len(size)), torch.Size([abs(n) for n in size])
    )
    if min(size) < 0:
        chunk.sizes = size  # pyright: ignore[reportAttributeAccessIssue]
    name = rng.choice(("decoder.layers.mlp.weight", "embed.weight"))
    entry = dcp.TensorStorageMetadata(
        dcp.TensorProperties(dtype=torch.float32), torch.Size([abs(n) for n in size]), [chunk]
    )
    place = _StorageInfo("__0_0.distcp", 0, rng.choice((100, 10**14)))
    index = dcp.MetadataIndex(name, torch.Size([0] * len(size)))
    return pickle.dumps(dcp.Metadata({name: entry}, storage_data={index: place}))


def _read(rng: Random, kind: str, path: Path, *, fine: bool = False) -> Case:
    """A command that reads the checkpoint `path`."""
    argv = rng.choice(
        (
            ("info", path.name),
            ("convert", path.name, "made.safetensors"),
            ("expand", path.name, "made.pt", "--factor", "2"),
            ("average", path.name, path.name, "made.pt", "--decay", "0.5"),
        )
    )
    return Case(kind, argv, (path.name, "folder"), fine)


def pictures(rng: Random, here: Path) -> Case:
    """A picture or video that is none."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(buffer, "PNG")
    png = bytearray(buffer.getvalue())
    kind = rng.choice(("cut", "flip", "text", "empty", "bomb", "small", "pipe", "video", "webm"))
    path = here / rng.choice(("p.png", "p.mp4", "p.webp", "p.jpg"))
    if kind == "cut":
        png = png[: rng.randrange(8, len(png) - 20)]
    elif kind == "flip":
        for _ in range(20):
            png[rng.randrange(8, len(png))] = rng.randrange(256)
    elif kind == "bomb":
        png[16:24] = struct.pack(">II", 10**5, 10**5)
    elif kind == "small":
        buffer = io.BytesIO()
        Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(buffer, "PNG")
        png = bytearray(buffer.getvalue())
    content = {
        "text": b"no picture",
        "empty": b"",
        "video": bytes(4096),
        "webm": b"\x1aE\xdf\xa3" * 9,
    }
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(content.get(kind, bytes(png)))
    option = rng.choice(
        ("image", "last-image", "keyframe", "continue-video", "init-video", "video")
    )
    value = f"48={path.name}" if option == "keyframe" else path.name
    argv = ("generate", "a red star", f"--{option}={value}", "--size=64x64", "--frames=57")
    if option == "video":
        argv = (
            "enhance",
            "--random-weights",
            "--config",
            ENHANCER,
            "--video",
            value,
            "--out",
            "o.mp4",
        )
    return Case(f"{option} {kind} {path.suffix}", argv, (path.name,))


def lists(rng: Random, here: Path) -> Case:
    """A list of captions, or of samples, that cannot be used."""
    what, content = bad_json(rng)
    lines: dict[str, bytes] = {
        "line": content.replace(b"\n", b" "),
        "surrogate": b'{"path": "a.mp4", "caption": "\\ud800 boat"}',
        "fps": b'{"path": "a.mp4", "caption": "a boat", "fps": 1e300}',
        "types": b'{"path": 5, "caption": ["x"], "fps": {}}',
        "twice": b'{"path": "a.mp4", "caption": "x"}\n{"path": "a.mp4", "caption": "x"}',
        "id": b'{"path": "a.mp4", "caption": "x", "id": "../../x"}',
        "huge": b'{"path": "a.mp4", "caption": "x", "fps": ' + b"9" * 4000 + b"}",
    }
    kind = rng.choice([*lines, "csv", "quote", "samples", "samples"])
    if kind == "samples":
        return _samples(rng, here)
    path = here / ("c.csv" if kind in ("csv", "quote") else "c.jsonl")
    rows = b"path,caption\n" + rng.choice((b"a.mp4,\n", b",x\n", b"\xff\xfe,x\n", b"a\0,x\n", b""))
    text = b'path,caption\n"' + b"x" * 200_000 if kind == "quote" else rows
    path.write_bytes(lines.get(kind, text))
    argv = ("data", "encode", path.name, "--out", "o", "--max-bad", "0", *RANDOM)
    return Case(f"list {kind} {what}", argv, (path.name, "a.mp4"))


def _samples(rng: Random, here: Path) -> Case:
    """A folder of encoded samples with one bad tensor."""
    one = torch.ones(24, 1, 4, 4)
    y, mask = torch.ones(1, 1, 3, 8), torch.ones(1, 3)
    latents = {
        "declared": torch.ones(1, 1, 1, 1).expand(24, 10**6, 10**3, 10**3),
        "meta": torch.empty(24, 1, 4, 4, device="meta"),
        "code": Foreign(),
        "text": one,
        "shape": torch.ones(3),
        "nan": one * float("nan"),
        "int": one.int(),
    }
    kind = rng.choice(list(latents))
    if kind == "text":
        y = rng.choice(
            (torch.ones(1, 1, 1, 1).expand(1, 1, 3, 10**13), torch.ones(2, 2), y.to("meta"))
        )
    torch.save(latents[kind], here / "l.pt")
    torch.save({"y": y, "mask": mask}, here / "t.pt")
    fps = rng.choice(("8", "8", "inf", "1e400"))
    columns = "sample_id,source,latent_path,text_feat_path,fps"
    (here / "train.csv").write_text(f"{columns}\na,generated,l.pt,t.pt,{fps}\n")
    return Case(
        f"samples {kind}", ("data", "pack", "train.csv", "made"), ("l.pt", "t.pt", "train.csv")
    )


def configs(rng: Random, here: Path) -> Case:
    """A config file that fails in its own way."""
    kind, text = rng.choice(
        (
            ("exit", "import sys\nsys.exit(0)\n"),
            ("exit in", "def get_config():\n    raise SystemExit(0)\n"),
            ("raise", "def get_config():\n    raise KeyError('x' * 100_000)\n"),
            ("endless", "def get_config():\n    return get_config()\n"),
            ("syntax", "def get_config(:\n"),
            ("none", "def get_config():\n    return None\n"),
            ("missing", "x = 1\n"),
            ("binary", "\0\1\2"),
            ("deep", f"x = {'(' * 500}{')' * 500}\n"),
            ("seed", _changed("config.run.seed = 2**70")),
            ("remat", _changed("config.run.remat = 'bogus'")),
            ("depth", _changed("config.dit.depth = 10**30")),
            ("width", _changed("config.dit.width = -1")),
            ("type", _changed("config.dit = [1]")),
            ("rate", _changed("config.optimizer.learning_rate = float('nan')")),
            ("text", _changed("config.text.vocab_size = 'x' * 50_000")),
        )
    )
    (here / "c.py").write_text(text)
    argv = rng.choice(
        (
            ("train", "--config", "c.py", "--output", "o"),
            ("curriculum", "--stages", "c.py", "--output", "o"),
            ("data", "describe", "--config", "c.py"),
        )
    )
    named = (
        "c.py",
        "seed",
        "remat",
        "depth",
        "width",
        "'dit'",
        "learning_rate",
        "vocab_size",
        "data.paths",
    )
    return Case(f"config {kind}", argv, named)


def _changed(line: str) -> str:
    return (
        "import importlib.util\n"
        "def get_config():\n"
        f"    spec = importlib.util.spec_from_file_location('base', {TRAIN!r})\n"
        "    import sys\n"
        f"    sys.path.insert(0, {str(Path(DEBUG).parents[1])!r})\n"
        "    base = importlib.util.module_from_spec(spec)\n"
        "    spec.loader.exec_module(base)\n"
        "    config = base.get_config()\n"
        "    with config.ignore_type():\n"
        f"        {line}\n"
        "    return config\n"
    )


def cases(rng: Random, here: Path) -> Case:
    """A golden case that is malformed."""
    folder = here / "golden"
    folder.mkdir()
    what, content = bad_json(rng)
    odd = {"kind": rng.choice(("mugv_dit", "paint", 5, "manifest")), "tensors": {"a": [10**12]}}
    (folder / "c.json").write_bytes(rng.choice((content, json.dumps(odd).encode())))
    if rng.random() < 0.6:
        np.savez(folder / "c.npz", x=np.array([Foreign()], object))
    return Case(f"golden {what}", ("verify", "golden"), ("c", "golden"))


GENERATORS: tuple[Callable[[Random, Path], Case], ...] = (
    defaults, safetensors, torch_file, torch_file, folders, pictures, lists, configs, cases,
)  # fmt: skip
