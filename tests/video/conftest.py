# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import skimage.data
from PIL import Image


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(Image.fromarray(skimage.data.astronaut()).resize((160, 120)))


@pytest.fixture(scope="module")
def clip(photo) -> np.ndarray:
    return np.stack([np.roll(photo, 2 * i, axis=1) for i in range(10)])
