# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""All that a training run of the VAE is at one step, as one tree."""

from typing import Any

from mugv_jax.train.state import Params, TrainState


class VaeState(TrainState):
    """A `TrainState` with the critic and what else a checkpoint of the VAE holds.

    critic, critic_opt: parameters of the critic and its optimizer's state; empty without a GAN.
    constants: mean and deviation of the latent's channels, as of the last checkpoint.
    unused: tensors of the published file that the model never reads.
    """

    critic: Params
    critic_opt: Any
    constants: Params
    unused: Params
