# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import importlib
import math
import re
from pathlib import Path

import jax
import pytest
from ml_collections import ConfigDict

from mugv_jax import config
from mugv_jax.nn.layers import unboxed
from mugv_jax.problems import Problems
from mugv_jax.train.train_config import from_config_dict
from mugv_jax.weights.registry import abstract_variables

CONFIGS = Path(__file__).parents[1] / "configs"
PARAMETERS = {  # of the DiT, without constants
    "mugv_debug": 3_667_296,
    "mugv_demo": 4_077_696,
    "mugv_1b": 1_208_059_968,
    "mugv_2b": 2_712_853_632,
    "mugv_4b": 4_818_161_856,
    "mugv_10b": 10_830_321_984,
    "mugv_18b": 19_244_540_352,
}


def test_every_config_file_is_counted_below():
    assert {path.stem for path in CONFIGS.glob("mugv_*.py")} == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_config_has_the_parameters_that_its_docstring_tells(name):
    loaded = config.load(CONFIGS / f"{name}.py")
    variables = unboxed(abstract_variables("mugv_dit", loaded.dit))
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
    assert count == PARAMETERS[name]
    assert f"{count:,}" in importlib.import_module(f"configs.{name}").__doc__


def test_the_vae_and_t5_are_of_the_published_size():
    loaded = config.load(CONFIGS / "mugv_10b.py")
    for kind, sizes, parameters in (
        ("mugv_vae", loaded.vae, 411_696_059),
        ("t5_encoder", loaded.text, 4_762_310_656),
    ):
        variables = unboxed(abstract_variables(kind, sizes))
        assert parameters == sum(math.prod(x.shape) for x in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"dit.widht": 96}, "'dit' has no field 'widht'; it has depth, width, num_heads"),
        ({"train": {}}, "an unknown group 'train'; it needs dit, vae, text"),
        ({"text": None}, "'text' must be a ConfigDict"),
        ({"dit.width": "96"}, "dit.width='96' must be of type int"),
        ({"dit.depth": True}, "dit.depth=True must be of type int"),
        ({"dit.mlp_ratio": "4"}, "dit.mlp_ratio='4' must be of type float"),
        ({"vae.spatial_channels": (32, 32.5)}, "vae.spatial_channels="),
        ({"dit.width": 100}, "group 'dit': width=100"),
        ({"vae.latent_channels": 16}, "takes 24 latent channels, but the VAE makes 16"),
        ({"text.width": 64}, "text states of width 4096, but the text encoder makes 64"),
        ({"vae.spatial_channels": (128, 256, 512)}, "grid of 8"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(edits, message):
    values = importlib.import_module("configs.mugv_10b").get_config().unlock()
    for path, value in edits.items():
        *group, field = path.split(".")
        with values.ignore_type():
            (values[group[0]] if group else values)[field] = value
    with pytest.raises(ValueError, match=message):
        config.from_config_dict(values)


def test_all_that_is_wrong_is_reported_together():
    values = config.read(CONFIGS / "mugv_demo.py")
    fields = (
        "run.steps=0", "run.seed=-3", "run.dtype=int8", "run.remat=most", "run.ema_weights=true",
        "optimizer.method=sgd", "log.every=0", "data.image_share=2", "data.paths=('nowhere',)",
        "dit.width=100", "run.stepz=3", "log.vae",
    )  # fmt: skip
    problems = Problems()
    values = config.override(values, [f"--config.{each}" for each in fields], problems)
    with problems:
        from_config_dict(values)
    config.note_missing_files(values, problems)
    said = [str(error) for error in problems.errors]
    for wrong in (
        "--config.run.stepz=3: there is no 'stepz'; the config has .* Did you mean steps?",
        "--config.log.vae: write --config.log.vae=VALUE",
        "config group 'optimizer': method='sgd' must be one of",
        "config group 'run': steps=0 must be at least 1",
        "config group 'run': seed=-3 must lie in",
        "config group 'run': dtype='int8' must be one of",
        "config group 'run': remat='most' must be one of",
        "config group 'run': ema_weights=True needs weights",
        "config group 'log': every=0 must be at least 1",
        "config data.image_share=2 must be of type tuple",
        "config group 'dit': width=100",
        "data.paths: 'nowhere' does not exist",
    ):
        assert [each for each in said if re.match(wrong.replace("?", "[?]"), each)], wrong
    assert len(said) == 12


def test_fields_that_depend_on_each_other_are_one_error():
    """Correcting the first error must not make up others."""

    @dataclasses.dataclass(frozen=True)
    class Range:
        name: str
        low: int = 0
        high: int = 1

        def __post_init__(self):
            if self.low >= self.high:
                raise ValueError(f"low={self.low} must be below high={self.high}.")

    with pytest.raises(ValueError, match=r"^config group 'range': low=7 must be below high=3\.$"):
        config.build_group("range", Range, ConfigDict({"name": "r", "low": 7, "high": 3}))
    made = config.build_group("range", Range, ConfigDict({"name": "r", "low": 7, "high": 9}))
    assert (made.low, made.high) == (7, 9)


def test_fields_of_options_are_known():
    arguments = ["--config.run.steps=3", "--config.data.paths=('a=b',)"]
    assert config.asked(arguments) == {"run.steps", "data.paths"}


def test_missing_groups_and_fields_are_named():
    values = importlib.import_module("configs.mugv_10b").get_config().unlock()
    del values.dit.depth, values.dit.width
    with pytest.raises(ValueError, match="group 'dit' lacks depth, width"):
        config.from_config_dict(values)
    del values.vae
    with pytest.raises(ValueError, match="no group 'vae'"):
        config.from_config_dict(values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "AttributeError.*get_config"),
        ("def get_config(: pass", "SyntaxError"),
        ("from configs import mugv_11b", "ImportError"),
        ("def get_config():\n    return {}['dit']", "KeyError: 'dit'"),
        ("def get_config():\n    return {}", "must return a ConfigDict, not dict"),
    ],
)
def test_a_file_that_is_no_config_is_refused_in_one_line(content, message, tmp_path):
    path = tmp_path / "sizes.py"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        config.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    for path in (tmp_path / "none.py", tmp_path):
        with pytest.raises(ValueError, match="is not a file"):
            config.load(path)
    (tmp_path / "sizes.txt").touch()
    with pytest.raises(ValueError, match="is not a Python file"):
        config.load(tmp_path / "sizes.txt")


def test_a_child_elsewhere_edits_its_parent(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "shallow.py").write_text(
        "from configs import mugv_10b\n\n\ndef get_config():\n"
        "    config = mugv_10b.get_config()\n    config.dit.depth = 3\n    return config\n"
    )
    assert config.load(folder / "shallow.py").dit.depth == 3
    assert isinstance(importlib.import_module("configs.mugv_10b").get_config(), ConfigDict)
