# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import jax.numpy as jnp
import numpy as np

from mugv_jax.weights import random


def test_values_depend_on_seed_and_path_not_on_how_they_are_drawn(monkeypatch):
    monkeypatch.setattr(random, "PART", 1000)
    call = ("blocks/fc1/kernel", (3, 40, 30), True)
    values = random._draw(*call, 0, np.float32)
    np.testing.assert_array_equal(values, random._draw(*call, 0, np.float32))
    np.testing.assert_array_equal(values.astype(jnp.bfloat16), random._draw(*call, 0, jnp.bfloat16))
    assert abs(values.std() * 40**0.5 - 1) < 0.05
    parts = [values.reshape(-1)[i * 1000 : i * 1000 + 600] for i in range(4)]
    assert np.all(np.abs(np.corrcoef(parts) - np.eye(4)) < 0.2)
    for other in (random._draw(*call, 1, np.float32), random._draw("x", *call[1:], 0, np.float32)):
        assert not np.any(values == other)
    assert abs(random._draw("norm/scale", (4000,), False, 0, np.float32).mean() - 1) < 0.02
