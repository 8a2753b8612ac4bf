# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mugv_jax.weights.lpips import load_lpips
from tests.weights.published_lpips import Published, save, whole


@pytest.fixture(scope="module")
def tensors():
    return Published(seed=1).state_dict()


@pytest.fixture(scope="module")
def one_file(tensors, tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "lpips.safetensors"
    save_file(dict(tensors), file)
    return str(file)


@pytest.fixture(scope="module")
def linear(tensors):
    return {name: tensor for name, tensor in tensors.items() if name.startswith("lin")}


def backbone(tensors):
    return {name: tensor for name, tensor in tensors.items() if name.startswith("features")}


def test_all_published_files_give_the_same_weights(tensors, one_file, linear, tmp_path):
    expected = load_lpips(one_file)
    kernel = tensors["features.28.weight"].numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(expected["vgg"]["stage_4_conv_2"]["kernel"], kernel)
    np.testing.assert_array_equal(expected["linear_1"], tensors["lin1.model.1.weight"][0, :, 0, 0])
    saved_whole = save(whole(tensors), tmp_path / "whole.pt")
    classifier = {"classifier.0.weight": torch.zeros(2, 2)}
    vgg = save(backbone(tensors) | classifier, tmp_path / "vgg16.pth")
    for files in (saved_whole, f"{vgg},{save(linear, tmp_path / 'linear.pth')}"):
        jax.tree.map(np.testing.assert_array_equal, load_lpips(files), expected)


def test_other_weights_are_refused_with_every_difference(linear, one_file, tmp_path):
    narrow = dict(linear, **{"lin0.model.1.weight": torch.zeros(1, 32, 1, 1)}, more=torch.zeros(1))
    with pytest.raises(ValueError, match="VGG16 and the linear weights of LPIPS") as error:
        load_lpips(save(narrow, tmp_path / "narrow.pth"))
    for says in (
        "26 missing: features.0.weight, ", "features.28.bias", "1 unexpected: more",
        "lin0.model.1.weight is (1, 32, 1, 1), must be (1, 64, 1, 1)",
    ):  # fmt: skip
        assert says in str(error.value)
    with pytest.raises(ValueError, match=r"holds lin0.model.1.weight twice"):
        load_lpips(f"{one_file},{save(linear, tmp_path / 'linear.pth')}")
    with pytest.raises(ValueError, match="there is no such file"):
        load_lpips(str(tmp_path / "none.pth"))
