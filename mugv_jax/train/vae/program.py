# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""What is compiled for a training run of the VAE: start, steps, latent statistics, validation.

A step of every length of the decoder's windows, with and without the critic, is a program of its
own, chosen by the number of the step: inside a condition a CPU would compute on one thread.

Weights are whole on every device, and each has its own clips: the VAE is small beside its
activations.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from mugv_jax.axes import Array, Float, Pixels
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.discriminator import Discriminator
from mugv_jax.sharding import mesh as meshes
from mugv_jax.sharding.place import data_shards
from mugv_jax.train.optimizer import make_optimizer
from mugv_jax.train.state import Params, join, new_state, split
from mugv_jax.train.vae.loss import Perceptual
from mugv_jax.train.vae.quality import psnr, ssim
from mugv_jax.train.vae.reconstruct import decode_features, encode
from mugv_jax.train.vae.state import VaeState
from mugv_jax.train.vae.step import LAST_LAYER, VaeStep, to_pixels
from mugv_jax.train.vae.vae_config import VaeTrainConfig
from mugv_jax.weights.registry import MODELS

KIND = "mugv_vae"
ENCODER = {"spatial_encoder", "temporal_encoder", "quant_conv"}  # all that latents come from
NARROWEST = 1e-6  # deviation of a latent channel that says nothing


class VaeProgram:
    """The functions of one run on one mesh; nothing is compiled before it is called.

    kind, model: name and sizes of the model.
    abstract: shape of every leaf of the state.

    Raises:
        ValueError: weights frozen that the GAN's balance needs.
    """

    kind = KIND

    def __init__(self, config: VaeTrainConfig, mesh: Mesh, perceptual: Perceptual | None = None):
        self.config, self.mesh, self.model = config, mesh, config.vae
        self.shards = data_shards(mesh)
        self.vae = VideoVAE(config.vae, jnp.dtype(config.run.dtype))
        self.critic, self._critic_optimizer = None, None
        if config.loss.gan_from is not None:
            self.critic = Discriminator(config.discriminator, jnp.dtype(config.run.dtype))
            self._critic_optimizer, _ = make_optimizer(
                config.discriminator_optimizer, config.run.steps
            )
        self.optimizer, schedule = make_optimizer(config.optimizer, config.run.steps)
        self._everywhere = NamedSharding(mesh, PartitionSpec())
        # An argument of the steps: weights closed over would lie in each of their programs.
        self._perceptual = None
        if perceptual is not None:
            tree = isinstance(perceptual, Partial)  # one of a tree would hide its leaves
            network = perceptual if tree else Partial(perceptual)
            self._perceptual = jax.device_put(network, self._everywhere)
        self.abstract = jax.eval_shape(lambda: self._state_of(self._random()))
        self._check_last_layer()
        self._schedule = schedule
        self._steps: dict[tuple[int, bool], Any] = {}
        self._moments = jax.jit(self._sums, out_shardings=self._everywhere)
        self.validate = jax.jit(self._validate, out_shardings=self._everywhere)

    def step(
        self, state: VaeState, batch: Mapping[str, Array]
    ) -> tuple[VaeState, dict[str, Array]]:
        """(state after the step whose number the batch carries, metrics); donates the state."""
        number = int(batch["step"].addressable_data(0)[0])
        gan_from = self.config.loss.gan_from
        adversarial = gan_from is not None and number >= gan_from
        compiled = self._compiled(self._window(number, batch["frames"].shape[1]), adversarial)
        return compiled(state, {"frames": batch["frames"]}, self._perceptual)

    def _window(self, step: int, frames: int) -> int:
        """Latents that the decoder sees at once, drawn by the number of the step."""
        windows = self.config.run.windows
        drawn = np.random.default_rng((self.config.run.seed, step)).integers(len(windows))
        return min(windows[drawn], -(-frames // self.model.time_factor))

    def _compiled(self, window: int, adversarial: bool) -> Any:
        if (window, adversarial) not in self._steps:
            config = self.config
            step = VaeStep(
                vae=self.vae,
                loss=config.loss,
                part=config.run.part,
                window=window,
                optimizer=self.optimizer,
                schedule=self._schedule,
                critic=self.critic if adversarial else None,
                critic_optimizer=self._critic_optimizer if adversarial else None,
                ema_decay=config.ema.decay if config.ema.enabled else None,
            )
            self._steps[window, adversarial] = jax.jit(
                step, donate_argnums=0, out_shardings=self._everywhere
            )
        return self._steps[window, adversarial]

    def start(self, given: Mapping[str, Any]) -> VaeState:
        """The state of random weights, but for those `given`: parts of "params", "constants" and
        "unused"."""
        make = jax.jit(
            lambda given: self._state_of(_overlaid(self._random(), given)),
            out_shardings=self._everywhere,
        )
        with meshes.use(self.mesh):
            return make(dict(given))

    def abstract_state(self) -> VaeState:
        """Shapes and places of the state."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._everywhere),
            self.abstract,
        )

    def with_statistics(self, state: VaeState, batches: Any) -> VaeState:
        """The state with mean and deviation of the latent's channels over `batches`.

        Of the running average where there is one: it is what is used afterwards. A run that goes
        on from other weights and freezes their encoder keeps their statistics, so that what was
        encoded with those is still decoded alike.
        """
        if self.config.run.weights and not self._trains_encoder():
            return state
        variables = self._variables(state)
        sums = [jax.device_get(self._moments(variables, batch)) for batch in batches]
        mean, square, count = (np.sum(part, axis=0, dtype=np.float64) for part in zip(*sums))
        shift = mean / count
        scale = np.sqrt(np.maximum(square / count - shift**2, NARROWEST**2))
        constants = {"shift": shift.astype(np.float32), "scale": scale.astype(np.float32)}
        return state.replace(constants=jax.device_put(constants, self._everywhere))

    def quality(
        self, state: VaeState, batch: Mapping[str, Array]
    ) -> tuple[Pixels, dict[str, Array]]:
        """(reconstructions, PSNR and SSIM of every clip) by windows as in generation."""
        return self.validate(self._variables(state), batch)

    def _variables(self, state: VaeState) -> dict[str, Params]:
        params = state.params if state.ema is None else state.ema
        return {"params": join(params, state.frozen), "constants": state.constants}

    def _random(self) -> dict[str, Any]:
        """Variables of the VAE and of the tensors that only its files hold."""
        model = MODELS[KIND]
        shapes = model.inputs(self.model)
        inputs = {name: jnp.zeros(each.shape, each.dtype) for name, each in shapes.items()}
        key = jax.random.key(self.config.run.seed)
        unused = model.table(self.model).unused
        zeros = {name: jnp.zeros(shape) for name, shape in unused.items()}
        return {**unboxed(self.vae.init(key, **inputs)), "unused": zeros}

    def _state_of(self, variables: Mapping[str, Any]) -> VaeState:
        config = self.config
        trained, frozen = split(variables["params"], config.optimizer.freeze)
        state = new_state(
            trained, frozen, self.optimizer, ema=config.ema.enabled, seed=config.run.seed
        )
        critic: Params = {}
        if self.critic is not None:
            key = jax.random.fold_in(jax.random.key(config.run.seed), 1)
            side = 2 ** len(config.discriminator.channels)
            critic = unboxed(self.critic.init(key, jnp.zeros((1, 1, side, side, 3))))["params"]
        return VaeState(
            **vars(state),
            critic=critic,
            critic_opt=self._critic_optimizer.init(critic) if critic else (),
            constants=variables["constants"],
            unused=variables["unused"],
        )

    def _sums(
        self, variables: Mapping[str, Any], batch: Mapping[str, Array]
    ) -> tuple[Float[Array, "c"], Float[Array, "c"], Float[Array, ""]]:
        """Sums of z and z^2 over samples of the posterior, exactly, and how many they are."""
        mean, log_variance = encode(self.vae, variables, to_pixels(batch["frames"]))
        axes = (0, 1, 2, 3)
        square = jnp.square(mean) + jnp.exp(log_variance)
        count = jnp.float32(mean.size // mean.shape[-1])
        return jnp.sum(mean, axes), jnp.sum(square, axes), count

    def _validate(
        self, variables: Mapping[str, Any], batch: Mapping[str, Array]
    ) -> tuple[Pixels, dict[str, Array]]:
        x = to_pixels(batch["frames"])
        if self.config.run.part == "spatial":
            features = self.vae.apply(variables, x, method="encode_features")
        else:
            latent = encode(self.vae, variables, x).mean
            window = self.model.window_latents
            features = decode_features(self.vae, variables, latent, x.shape[1], window)
        y = jnp.clip(self.vae.apply(variables, features, method="decode_pixels"), -1, 1)
        return y, {"psnr": jnp.mean(psnr(x, y), axis=1), "ssim": jnp.mean(ssim(x, y), axis=1)}

    def _trains_encoder(self) -> bool:
        return not ENCODER.isdisjoint(self.abstract.params)

    def _check_last_layer(self) -> None:
        trained = traverse_util.flatten_dict(self.abstract.params, sep="/")
        if self.critic is not None and not {f"{LAST_LAYER}/kernel", f"{LAST_LAYER}/bias"} <= {
            *trained
        }:
            raise ValueError(
                f"optimizer.freeze={self.config.optimizer.freeze} freezes {LAST_LAYER}, whose "
                "gradient balances the GAN: train it, or set loss.gan_from=None."
            )


def _overlaid(tree: Any, given: Any) -> Any:
    """`tree`, with the leaves that `given` has."""
    if not isinstance(tree, Mapping):
        return given
    return {
        name: _overlaid(part, given[name]) if name in given else part for name, part in tree.items()
    }
