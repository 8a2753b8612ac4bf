# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from mugv_jax import config, config_files

ROOT = Path(__file__).parents[1]
CHILD = (
    "from configs import {parent}\n\n\ndef get_config():\n"
    "    config = {parent}.get_config()\n    config.dit.depth = 3\n    return config\n"
)


@pytest.mark.parametrize("text", ["stages/sft", "stages/sft.py", "configs/stages/sft.py"])
def test_a_config_has_a_name_in_any_folder(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_files.find(text) == ROOT / "configs" / "stages" / "sft.py"


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "configs" / "mugv_demo.py"
    own.parent.mkdir()
    own.write_text(CHILD.format(parent="mugv_10b"))
    assert config.load("configs/mugv_demo.py").dit.width == 3456
    assert config.load("mugv_demo").dit.width == 192


def test_every_name_is_a_config():
    names = config_files.names()
    assert {"mugv_10b", "stages/stage1", "post/dpo", "vae_mugv", "enhancer"} <= set(names)
    assert not {"shapes", "training", "__init__", "stages/__init__"} & set(names)
    for name in names:
        assert config.read(name), name


def test_an_unknown_name_is_answered_with_the_nearest_and_all():
    with pytest.raises(ValueError, match=r"mean mugv_18b or mugv_10b|mean mugv_10b") as caught:
        config.read("mugv_10")
    assert all(name in str(caught.value) for name in config_files.names())


@pytest.mark.parametrize("text", ["..", "../configs/mugv_10b", "no such", "runs/first"])
def test_what_is_no_name_is_none(text):
    assert config_files.named(text) is None


def test_a_users_folder_of_the_same_name_extends_the_packages(tmp_path):
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "wide.py").write_text(CHILD.format(parent="mugv_10b"))
    (folder / "wider.py").write_text(CHILD.format(parent="wide"))
    before = sys.modules.get("configs")
    assert config.load(folder / "wider.py").dit.depth == 3
    assert sys.modules.get("configs") is before
    assert "configs.wide" not in sys.modules
    assert str(tmp_path) not in sys.path


def test_the_wheel_carries_the_folder_where_the_package_looks_first(tmp_path, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    mapped = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    place, checkout = config_files.PLACES
    assert mapped == {"configs": place.relative_to(ROOT).as_posix()}
    assert checkout == ROOT / "configs"
    assert not place.exists(), "there must be no second place where configs are edited"
    installed = tmp_path / "assets" / "configs"
    shutil.copytree(checkout, installed, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(config_files, "PLACES", (installed, tmp_path / "none"))
    assert config_files.find("post/dpo_demo") == installed / "post" / "dpo_demo.py"
    assert config.read("post/dpo_demo").objective.name == "dpo"
    monkeypatch.setattr(config_files, "PLACES", (tmp_path / "none",))
    with pytest.raises(ValueError, match="install it again"):
        config_files.folder()
