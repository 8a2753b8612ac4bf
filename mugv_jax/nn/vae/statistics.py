# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Published mean and standard deviation of every channel of the MUG-V latent.

`vae.pt` contains the same two vectors as `shift` and `scale`; latents that were stored without
their VAE are normalised by these.
"""

LATENT_SHIFT = (
    -0.0194091796875, 0.09619140625, -0.796875, 0.1591796875, -0.2578125, 0.359375, -0.3203125,
    -0.287109375, -0.0069580078125, 0.3046875, 0.310546875, -0.451171875, -0.1728515625,
    0.369140625, 0.2177734375, -3.075599670410156e-05, 0.1630859375, -0.267578125, -0.1962890625,
    -0.1298828125, -0.28515625, -0.515625, 0.5859375, -0.34375,
)  # fmt: skip
LATENT_SCALE = (
    0.8817, 0.6523, 0.9152, 1.2117, 3.3516, 0.7528, 0.8177, 0.8637, 0.9075, 2.8875, 0.8980, 1.1202,
    1.0003, 2.5163, 0.6652, 1.2573, 0.7279, 1.0777, 1.5159, 0.8680, 1.1859, 1.0484, 2.4750, 1.5881,
)  # fmt: skip
