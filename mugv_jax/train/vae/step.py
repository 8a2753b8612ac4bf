# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One step of VAE training, as a pure function of state and batch.

    z ~ N(mean, var) of encode(x),   y = decode(z), by windows
    VAE:     gradient of the loss (1) of `train/vae/loss.py`
    critic:  gradient of (6) on the same x and y

y is computed once, and its gradient is pulled back once: (7) needs the last convolution alone.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mugv_jax.axes import Array, Float, Pixels
from mugv_jax.nn.conv import Conv2d
from mugv_jax.nn.vae.autoencoder import Features, VideoVAE
from mugv_jax.nn.vae.discriminator import Discriminator
from mugv_jax.train.state import Params, join
from mugv_jax.train.step import constrain_batch, updated
from mugv_jax.train.vae import loss as losses
from mugv_jax.train.vae.loss import Clips, Perceptual, VaeLossConfig
from mugv_jax.train.vae.quality import psnr
from mugv_jax.train.vae.reconstruct import decode_features, encode, posterior
from mugv_jax.train.vae.state import VaeState

Metrics = dict[str, Array]
LAST_LAYER = "spatial_decoder/conv_out"  # with W of the loss's (7)


class Adversary(NamedTuple):
    """The critic after a step, the VAE's gradient from the one before it, and both losses."""

    params: Params
    opt: Any
    d_y: Pixels
    generator: Float[Array, ""]
    critic: Float[Array, ""]


@dataclasses.dataclass(frozen=True, eq=False)
class VaeStep:
    """`step(state, batch, perceptual) -> (state, metrics)`; `perceptual` is a network, or None.

    part: what of the VAE goes in and comes out, see `VaeRunConfig`; what is left out should be
        frozen.
    window: latents that the decoder sees at once.
    critic, critic_optimizer: of the GAN; None where it does not count (yet).
    ema_decay: of the running average; None where there is none.
    """

    vae: VideoVAE
    loss: VaeLossConfig
    part: str
    window: int
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    critic: Discriminator | None = None
    critic_optimizer: optax.GradientTransformation | None = None
    ema_decay: float | None = None

    def __call__(
        self, state: VaeState, batch: Mapping[str, Array], perceptual: Perceptual | None = None
    ) -> tuple[VaeState, Metrics]:
        x = constrain_batch(to_pixels(batch["frames"]))
        if self.part == "temporal":
            x = self._given_features(state, x)
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        (y, kl), pull, last = jax.vjp(
            lambda params: self._forward(params, state, x, key), state.params, has_aux=True
        )
        (loss, metrics), d_y = jax.value_and_grad(
            lambda y: self._reconstruction(y, x, state.step, key, perceptual), has_aux=True
        )(y)
        new = state
        if self.critic is not None:
            adversary = self._adversary(state, x, y)
            weight = self._balance(state.params, last, d_y, adversary.d_y)
            d_y = d_y + weight * adversary.d_y
            loss = loss + weight * adversary.generator
            metrics |= {"generator": adversary.generator, "critic": adversary.critic}
            metrics |= {"gan_weight": weight}
            new = new.replace(critic=adversary.params, critic_opt=adversary.opt)
        (grads,) = pull((d_y, jnp.float32(self.loss.kl)))
        metrics |= {"loss": loss + self.loss.kl * kl, "kl": kl}
        if self.part != "temporal":
            metrics["psnr"] = jnp.mean(psnr(x, y))
        return self._taken(state, new, grads, metrics)

    def _given_features(self, state: VaeState, x: Pixels) -> Features:
        """What a spatial half that stays as it is makes of the frames."""
        variables = {"params": join(state.params, state.frozen), "constants": state.constants}
        return jax.lax.stop_gradient(self.vae.apply(variables, x, method="encode_features"))

    def _forward(
        self, params: Params, state: VaeState, x: Clips, key: Array
    ) -> tuple[tuple[Clips, Float[Array, ""]], Array | None]:
        """((reconstruction of a sample of the posterior, divergence), the last layer's input)."""
        variables = {"params": join(params, state.frozen), "constants": state.constants}
        features, kl = self._features(variables, x, key)
        if self.part == "temporal":
            return (features, kl), None
        y, sown = self.vae.apply(
            variables, features, method="decode_pixels", mutable="intermediates"
        )
        last = sown["intermediates"]["spatial_decoder"]["last"][0]
        return (y, kl), last

    def _features(
        self, variables: Params, x: Clips, key: Array
    ) -> tuple[Features, Float[Array, ""]]:
        """(what the spatial decoder sees, divergence)."""
        if self.part == "spatial":
            mean = self.vae.apply(variables, x, method="encode_features")
            noise = jax.random.normal(key, mean.shape)
            return mean + noise, losses.kl_divergence(mean, jnp.zeros_like(mean))
        found = (posterior if self.part == "temporal" else encode)(self.vae, variables, x)
        latent = found.sample(key)
        features = decode_features(self.vae, variables, latent, x.shape[1], self.window)
        return features, losses.kl_divergence(*found)

    def _reconstruction(
        self, y: Clips, x: Clips, step: Array, key: Array, perceptual: Perceptual | None
    ) -> tuple[Float[Array, ""], Metrics]:
        """L_rec and its parts; the l1 among them is the plain one."""
        config, weight = self.loss, None
        if config.adaptive_from is not None:
            adaptive = losses.adaptive_weight(x, config.saliency)
            weight = jnp.where(step >= config.adaptive_from, adaptive, jnp.ones_like(adaptive))
        metrics = {"mse": losses.mean_square(x, y), "l1": losses.weighted_l1(x, y)}
        loss = config.mse * metrics["mse"] + config.l1 * losses.weighted_l1(x, y, weight)
        if perceptual is not None:
            metrics["perceptual"] = perceptual(*self._drawn(x, y, key))
            loss = loss + config.perceptual * metrics["perceptual"]
        return loss, metrics

    def _drawn(self, x: Pixels, y: Pixels, key: Array) -> tuple[Pixels, Pixels]:
        """The frames of x and y that the perceptual network sees."""
        frames, count = x.shape[1], self.loss.perceptual_frames
        if count is None or count >= frames:
            return x, y
        # Folded, as the posterior's noise is of the key itself.
        drawn = jax.random.choice(jax.random.fold_in(key, 1), frames, (count,), replace=False)
        return x[:, drawn], y[:, drawn]

    def _adversary(self, state: VaeState, x: Pixels, y: Pixels) -> Adversary:
        """What the critic says, and learns."""

        def fooled(y: Pixels) -> Float[Array, ""]:
            return losses.generator_loss(self._scores(state.critic, y))

        def told_apart(critic: Params) -> Float[Array, ""]:
            return losses.critic_loss(self._scores(critic, x), self._scores(critic, y))

        generator, d_y = jax.value_and_grad(fooled)(y)
        critic_loss, grads = jax.value_and_grad(told_apart)(state.critic)
        updates, opt = self.critic_optimizer.update(grads, state.critic_opt, state.critic)
        params = optax.apply_updates(state.critic, updates)
        return Adversary(params, opt, d_y, generator, critic_loss)

    def _scores(self, critic: Params, pixels: Pixels) -> Array:
        return self.critic.apply({"params": critic}, pixels)

    def _balance(
        self, params: Params, last: Array, d_rec: Pixels, d_gan: Pixels
    ) -> Float[Array, ""]:
        """gan a of (1)."""
        conv = Conv2d(3, dtype=self.vae.dtype)
        layer = params["spatial_decoder"]["conv_out"]

        def pixels(kernel: Array) -> Array:
            return conv.apply({"params": dict(layer, kernel=kernel)}, last)

        _, pull = jax.vjp(pixels, layer["kernel"])
        grads = (pull(d_y.reshape(-1, *d_y.shape[2:]))[0] for d_y in (d_rec, d_gan))
        return self.loss.gan * losses.balance(*grads)

    def _taken(
        self, state: VaeState, new: VaeState, grads: Params, metrics: Metrics
    ) -> tuple[VaeState, Metrics]:
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(grad_norm)
        finite &= jnp.isfinite(metrics.get("critic", jnp.zeros(())))
        new, update_norm = updated(new, grads, self.optimizer, self.ema_decay)
        # A step whose numbers broke leaves everything as it was.
        after = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
        after = after.replace(
            step=state.step + 1, skipped=state.skipped + 1 - finite.astype(jnp.int32)
        )
        taken = state.step - state.skipped
        return after, metrics | {
            "grad_norm": grad_norm,
            "update_norm": update_norm,
            "param_norm": optax.tree.norm(after.params),
            "learning_rate": jnp.asarray(self.schedule(taken), jnp.float32),
            "skipped": after.skipped,
        }


def to_pixels(frames: Array) -> Pixels:
    """uint8 to [-1, 1], where the batch lies: a quarter of the traffic."""
    return frames.astype(jnp.float32) / 127.5 - 1
