# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Training objective of the video VAE: reconstruction, KL divergence and adversarial loss.

    z ~ N(mean, var) of encode(x),   y = decode(z), in windows
    VAE:     gradient of the loss (1) of `train/vae/loss.py`
    critic:  gradient of (6) on the same x and y

One forward and one backward pass of the VAE suffice: (7) needs only the last convolution's VJP.
"""

import dataclasses
import math
from collections.abc import Hashable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jax.sharding import Mesh

from mugv_jax.axes import Array, Float, Pixels
from mugv_jax.nn.conv import Conv2d
from mugv_jax.nn.layers import unboxed
from mugv_jax.nn.quality import psnr, ssim
from mugv_jax.nn.vae.autoencoder import VideoVAE
from mugv_jax.nn.vae.discriminator import Discriminator
from mugv_jax.sharding.place import data_shards
from mugv_jax.train.metrics import Work
from mugv_jax.train.objective import (
    POLICY,
    Batch,
    Bind,
    Metrics,
    Microbatches,
    Objective,
    Policies,
    constrain_batch,
)
from mugv_jax.train.optimizer import make_optimizer
from mugv_jax.train.state import Params, split
from mugv_jax.train.vae import loss as losses
from mugv_jax.train.vae.loss import Clips, Perceptual
from mugv_jax.train.vae.reconstruct import (
    Posterior,
    apply,
    decode_features,
    encode,
    posterior,
)
from mugv_jax.train.vae.vae_config import VaeTrainConfig
from mugv_jax.weights.registry import MODELS, abstract_variables

KIND = "mugv_vae"
CRITIC, PERCEPTUAL = "critic", "perceptual"  # names among the policies
LAST_LAYER = "spatial_decoder/conv_out"  # its kernel is W in (7) of the loss


class Prepared(flax.struct.PyTreeNode):
    """A prepared batch of the VAE.

    x: pixels, or features of the fixed spatial half.  noise: noise of the posterior sample.
    is_adaptive: whether L1 is weighted in this step; not read without `loss.adaptive_from`.
    compared: indices of the frames in the loss; None for all.
    seen: indices, among these, of the frames for the perceptual network; None for all.
    """

    x: Float[Array, "*k b _f _h _w _c"]
    noise: Float[Array, "*k b f h w c"]
    is_adaptive: Array
    compared: Array | None
    seen: Array | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class VaeObjective(Objective):
    """Objective of the video VAE, compiled per window length and per use of the critic.

    window: latents per decoding window.  critic: None before `loss.gan_from` or without a GAN.
    """

    COLLECTIONS = ("params", "constants")

    config: VaeTrainConfig
    module: VideoVAE
    window: int = 1
    critic: Discriminator | None = None

    @classmethod
    def build(cls, config: VaeTrainConfig, mesh: Mesh) -> "VaeObjective":
        """The objective of a run on `mesh`.

        Raises:
            ValueError: frozen weights whose gradient the GAN weight needs.
        """
        dtype = jnp.dtype(config.run.dtype)
        built = cls(
            kind=KIND,
            sizes=config.vae,
            module=VideoVAE(config.vae, dtype),
            microbatches=Microbatches(data_shards(mesh), config.run.accumulate),
            config=config,
            critic=None
            if config.loss.gan_from is None
            else Discriminator(config.discriminator, dtype),
        )
        built._check_last_layer()
        return built

    @property
    def optimizers(self) -> Mapping[str, optax.GradientTransformation]:
        """The critic's optimizer, if a critic is trained."""
        if self.critic is None:
            return {}
        config = self.config
        return {CRITIC: make_optimizer(config.discriminator_optimizer, config.run.steps)[0]}

    def extra(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Critic and its optimizer state, latent statistics, and unused published tensors."""
        critic: Params = {}
        if self.critic is not None:
            key = jax.random.fold_in(jax.random.key(self.config.run.seed), 1)
            side = 2 ** len(self.config.discriminator.channels)
            critic = unboxed(self.critic.init(key, jnp.zeros((1, 1, side, side, 3))))["params"]
        unused = MODELS[self.kind].table(self.sizes).unused
        zeros = {name: jnp.zeros(shape) for name, shape in unused.items()}
        return {
            CRITIC: critic,
            f"{CRITIC}_opt": self.optimizers[CRITIC].init(critic) if critic else (),
            "constants": variables["constants"],
            "unused": variables.get("unused", zeros),
        }

    def variant(self, batch: Batch) -> Hashable:
        """(latents per decoding window, whether the GAN loss is on) at the batch's step.

        Each variant is compiled separately: inside `lax.cond` a CPU computes on one thread.
        """
        number = int(batch["step"].addressable_data(0)[0])
        gan_from = self.config.loss.gan_from
        adversarial = gan_from is not None and number >= gan_from
        return self.drawn_window(number, batch["frames"].shape[1]), adversarial

    def at(self, variant: Any) -> "VaeObjective":
        """The objective of one variant."""
        window, adversarial = variant
        critic = self.critic if adversarial else None
        return dataclasses.replace(self, window=window, critic=critic)

    def drawn_window(self, step: int, frames: int) -> int:
        """Latents per decoding window, drawn with the seed and the step number."""
        windows = self.config.run.windows
        drawn = np.random.default_rng((self.config.run.seed, step)).integers(len(windows))
        return min(windows[drawn], -(-frames // self.sizes.time_factor))

    def prepare(self, key: Array, policies: Policies, batch: Batch) -> Prepared:
        """Pixels or features of the batch, and the random draws of this step."""
        x = constrain_batch(to_pixels(batch["frames"]))
        # Folded, because the posterior's noise is drawn from the key itself.
        count, config = x.shape[1], self.config.loss
        compared = _drawn(jax.random.fold_in(key, 2), len(x), count, config.frames)
        count = min(config.frames or count, count)
        seen = _drawn(jax.random.fold_in(key, 1), len(x), count, config.perceptual_frames)
        if self.config.run.part == "temporal":
            x = apply(self.module, policies[POLICY], x, "encode_features")
        latent = jax.eval_shape(lambda x: self._posterior(policies[POLICY], x).mean, x)
        noise = jax.random.normal(key, latent.shape, latent.dtype)
        is_adaptive = batch["step"] >= (config.adaptive_from or 0)
        return Prepared(x=x, noise=noise, is_adaptive=is_adaptive, compared=compared, seen=seen)

    def loss(self, policies: Policies, part: Prepared) -> tuple[Float[Array, ""], Metrics]:
        """Loss (1) without the GAN term."""
        (y, kl), _ = self._forward(policies, part)
        loss, metrics = self._reconstruction(y, part, policies.get(PERCEPTUAL))
        return loss + self.config.loss.kl * kl, metrics | {"kl": kl}

    def gradient(
        self, bind: Bind, trained: Mapping[str, Any], part: Prepared
    ) -> tuple[Float[Array, ""], Metrics, Mapping[str, Any]]:
        """Loss, metrics and gradients of VAE and critic, from one forward pass of the VAE."""
        config, policies = self.config.loss, bind(trained)
        (y, kl), pull, last = jax.vjp(
            lambda params: self._forward(bind({**trained, POLICY: params}), part),
            trained[POLICY],
            has_aux=True,
        )
        (loss, metrics), d_y = jax.value_and_grad(
            lambda y: self._reconstruction(y, part, policies.get(PERCEPTUAL)), has_aux=True
        )(y)
        grads = {}
        if self.critic is not None:
            generator, d_gan, critic_loss, grads[CRITIC] = _adversary(
                self.critic, trained[CRITIC], _chosen(part.x, part.compared), y
            )
            weight = self._balance(trained[POLICY], last, d_y, d_gan)
            d_y, loss = d_y + weight * d_gan, loss + weight * generator
            metrics |= {"generator": generator, "critic": critic_loss, "gan_weight": weight}
        (grads[POLICY],) = pull((d_y, jnp.float32(config.kl)))
        metrics |= {"kl": kl}
        if self.config.run.part != "temporal":
            metrics["psnr"] = jnp.mean(psnr(_chosen(part.x, part.compared), y))
        return loss + config.kl * kl, metrics, grads

    def validate(self, policies: Policies, batch: Batch) -> tuple[Pixels, dict[str, Array]]:
        """(reconstructions, PSNR and SSIM of every clip), decoded in windows as in generation."""
        variables, x = policies[POLICY], to_pixels(batch["frames"])
        if self.config.run.part == "spatial":
            features = apply(self.module, variables, x, "encode_features")
        else:
            latent = encode(self.module, variables, x).mean
            window = self.sizes.window_latents
            features = decode_features(self.module, variables, latent, x.shape[1], window)
        y = jnp.clip(apply(self.module, variables, features, "decode_pixels"), -1, 1)
        return y, {"psnr": jnp.mean(psnr(x, y), axis=1), "ssim": jnp.mean(ssim(x, y), axis=1)}

    def work(self, batch: Batch) -> Work:
        """Samples of a step, with frames counted as tokens; FLOPs are not counted."""
        shape = batch["frames"].shape
        return Work(shape=shape[:4], samples=shape[0], tokens=shape[0] * shape[1], flops=None)

    def counted(self, work: Work) -> int:
        """Pixels of all frames of a step."""
        return math.prod(work.shape)

    def check_resumed(self, where: object, found: Mapping, wanted: Mapping) -> None:
        """Checks of every run; also, the critic cannot be added or removed on resuming.

        Raises:
            ValueError: the state of the checkpoint does not fit the config.
        """
        super().check_resumed(where, found, wanted)
        was, now = (config["loss"].get("gan_from") for config in (found, wanted))
        if (was is None) != (now is None):
            raise ValueError(
                f"{where}: was trained with gan_from={was}, the config says {now}: a critic cannot "
                "be added or removed within a run. Set gan_from above run.steps to resume without "
                f"its loss, or start a new run with run.weights={where}."
            )

    def _forward(
        self, policies: Policies, part: Prepared
    ) -> tuple[tuple[Clips, Float[Array, ""]], Array | None]:
        """((reconstruction from a sample, KL divergence), input of the last layer)."""
        variables, trained = policies[POLICY], self.config.run.part
        found = self._posterior(variables, part.x)
        y, kl = found.sample(part.noise), losses.kl_divergence(*found)
        if trained != "spatial":
            y = decode_features(self.module, variables, y, part.x.shape[1], self.window)
        y = _chosen(y, part.compared)
        if trained == "temporal":
            return (y, kl), None
        outputs: Any = self.module.apply(
            variables, y, method="decode_pixels", mutable="intermediates"
        )
        y, sown = outputs
        return (y, kl), sown["intermediates"]["spatial_decoder"]["last"][0]

    def _posterior(self, variables: Params, x: Clips) -> Posterior:
        """Posterior of what the trained part encodes; of spatial features it has deviation 1."""
        if self.config.run.part == "spatial":
            mean = apply(self.module, variables, x, "encode_features")
            return Posterior(mean, jnp.zeros_like(mean))
        read = posterior if self.config.run.part == "temporal" else encode
        return read(self.module, variables, x)

    def _reconstruction(
        self, y: Clips, part: Prepared, perceptual: Perceptual | None
    ) -> tuple[Float[Array, ""], Metrics]:
        """Reconstruction loss (2) and its terms as metrics; the L1 metric is unweighted."""
        config, x, weight = self.config.loss, _chosen(part.x, part.compared), None
        if config.adaptive_from is not None:
            adaptive = losses.adaptive_weight(part.x, config.saliency)
            adaptive = _chosen(adaptive, part.compared)
            weight = jnp.where(part.is_adaptive[0], adaptive, jnp.ones_like(adaptive))
        metrics = {"mse": losses.mean_square(x, y), "l1": losses.weighted_l1(x, y)}
        loss = config.mse * metrics["mse"] + config.l1 * losses.weighted_l1(x, y, weight)
        if perceptual is not None:
            metrics["perceptual"] = perceptual(_chosen(x, part.seen), _chosen(y, part.seen))
            loss = loss + config.perceptual * metrics["perceptual"]
        return loss, metrics

    def _balance(self, params: Params, last: Any, d_rec: Pixels, d_gan: Pixels) -> Float[Array, ""]:
        """Weight `gan * a` of the GAN loss in (1), see (7)."""
        conv = Conv2d(3, dtype=self.module.dtype)
        layer = params["spatial_decoder"]["conv_out"]

        def pixels(kernel: Array) -> Any:
            return conv.apply({"params": dict(layer, kernel=kernel)}, last)

        _, pull = jax.vjp(pixels, layer["kernel"])
        grads = (pull(d_y.reshape(-1, *d_y.shape[2:]))[0] for d_y in (d_rec, d_gan))
        return self.config.loss.gan * losses.balance(*grads)

    def _check_last_layer(self) -> None:
        if self.critic is None:
            return
        params = unboxed(abstract_variables(self.kind, self.sizes))["params"]
        trained, _ = split(params, self.config.optimizer.freeze)
        layer = {f"{LAST_LAYER}/kernel", f"{LAST_LAYER}/bias"}
        if not layer <= {*traverse_util.flatten_dict(trained, sep="/")}:
            raise ValueError(
                f"optimizer.freeze={self.config.optimizer.freeze} freezes {LAST_LAYER}, whose "
                "gradient balances the GAN: train it, or set loss.gan_from=None."
            )


def _drawn(key: Array, clips: int, frames: int, count: int | None) -> Array | None:
    """Indices of `count` of the frames, repeated per clip; None for all."""
    if count is None or count >= frames:
        return None
    drawn = jax.random.choice(key, frames, (count,), replace=False)
    return jnp.broadcast_to(drawn[None], (clips, count))


def _chosen(x: Array, frames: Array | None) -> Array:
    """Frames with the indices in the first row of `frames`, of all clips; None for all."""
    return x if frames is None else x[:, frames[0]]


def _adversary(
    critic: Discriminator, params: Params, x: Pixels, y: Pixels
) -> tuple[Float[Array, ""], Pixels, Float[Array, ""], Params]:
    """(generator loss, its gradient w.r.t. y, critic loss, its gradient w.r.t. the critic)."""

    def scores(params: Params, pixels: Pixels) -> Any:
        return critic.apply({"params": params}, pixels)

    def critic_loss(params: Params) -> Float[Array, ""]:
        return losses.critic_loss(scores(params, x), scores(params, y))

    generator, d_y = jax.value_and_grad(lambda y: losses.generator_loss(scores(params, y)))(y)
    return generator, d_y, *jax.value_and_grad(critic_loss)(params)


def to_pixels(frames: Array) -> Pixels:
    """Pixels in [-1, 1] from uint8 frames; on the device, as uint8 transfers 1/4 of the bytes."""
    return frames.astype(jnp.float32) / 127.5 - 1
