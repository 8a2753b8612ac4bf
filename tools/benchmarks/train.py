# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""One whole training step of a part of MUGDiT's blocks: loss, backward pass, clipping, AdamW.

Arithmetic and gradients are 16-bit, master weights and Adam's moments float32, on both sides. Work
is 3 x the forward pass, without the recomputation of rematerialisation, so that the share of the
measured ceiling is the model's FLOP utilisation (MFU).
"""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import torch
from flax import traverse_util
from torch import Tensor

from mugv_jax.kernels.select import KernelConfig
from mugv_jax.nn.mugdit.sizes import DiTConfig
from mugv_jax.sharding import mesh as meshes
from mugv_jax.systems.mugv import cost as flops
from mugv_jax.systems.mugv.denoiser import MugvCondition
from mugv_jax.train.diffusion import make_program
from mugv_jax.train.inputs import abstract_null_text
from mugv_jax.train.loss import velocity_loss
from mugv_jax.train.noising import NULL_TEXT, NullText
from mugv_jax.train.program import Program, for_compute
from mugv_jax.train.state import TrainState
from mugv_jax.weights.tables import mugv_dit
from tools.benchmarks.exchange import from_jax, parameter, to_jax, variables
from tools.benchmarks.measure import Task, Variant
from tools.benchmarks.published import Inputs, models, train_config
from tools.benchmarks.pytorch_training import Trainer, gradients, trainers
from tools.benchmarks.setting import Setting
from tools.torch_reference import MUGDiT

# For all gradients together; in bfloat16 every activation and its derivative are rounded.
TOLERANCES = {torch.float32: 5e-5, torch.bfloat16: 5e-2}
REMAT = ("full", "attention")  # least memory first


class Sample(NamedTuple):
    """Inputs of a step, which draws its own noise: a clean latent, text, and noise for checks."""

    inputs: Inputs
    noise: Tensor

    @classmethod
    def random(cls, setting: Setting, latent: tuple[int, int, int]) -> "Sample":
        inputs = Inputs.random(setting, latent)
        return cls(inputs, torch.randn_like(inputs.x))


def tasks(name: str, setting: Setting) -> Iterator[Task]:
    """Rematerialisation by policy on our side, one checkpoint per block on PyTorch's."""
    size = setting.size
    reference, config, weights = models(setting, size.train_depth, torch.float32)
    del weights  # they would take memory beside the state made of them
    ours = _Ours(setting, config, reference)
    theirs = trainers(setting, reference)

    def check(variant: Variant) -> float | None:
        if "compiled" in variant.name:  # another size would be compiled again
            return None
        sample = Sample.random(setting, size.check_latent)
        expected = _on_host(gradients(copy.deepcopy(reference).double(), *sample))
        if variant.ours:
            return _total_error(ours.gradients(variant.name, sample), ours.layout(expected))
        trainer = theirs[variant.name]
        found = _on_host(gradients(trainer.model, *sample, trainer.run_block))
        return _total_error(found, expected)

    yield Task(
        name=name,
        sizes={"width": size.width, "heads": size.heads, "depth": size.train_depth}
        | {"tokens": size.tokens, "text_tokens": size.text_tokens},
        variants=[*ours.variants(), *(_theirs(*each) for each in theirs.items())],
        inputs=lambda: Sample.random(setting, size.latent),
        check=check,
        tolerance=TOLERANCES[setting.dtype],
        work=flops.train_step(config, size.latent, size.text_tokens).model,
        unit="TFLOP/s",
        compare=False,  # every step draws its own noise
        memory=True,
    )


def _theirs(name: str, trainer: Trainer) -> Variant:
    def bind(sample: Sample) -> Callable[[], Tensor]:
        return lambda: trainer.step(sample.inputs)

    return Variant(name=name, ours=False, bind=bind, read=lambda loss: [loss])


class _Ours:
    """The step as `mugv-jax train` compiles it, under each policy; all update one state."""

    def __init__(self, setting: Setting, config: DiTConfig, reference: MUGDiT):
        self.reference, self.table = reference, mugv_dit.table(config)
        self.mesh = meshes.make_mesh()
        self.programs = {
            f"{name}, remat {remat}": self._program(setting, config, remat, kernels)
            for remat in REMAT
            for name, kernels in setting.kernels.items()
        }
        self._state: TrainState | None = None

    def _program(
        self, setting: Setting, dit: DiTConfig, remat: str, kernels: KernelConfig
    ) -> Program:
        config = train_config(setting, dit, remat, kernels)
        return make_program(config, self.mesh, abstract_null_text(config))

    def variants(self) -> Iterator[Variant]:
        for name, program in self.programs.items():
            yield Variant(
                name=name,
                ours=True,
                bind=lambda sample, program=program: self._bind(program, sample),
                read=lambda metrics: [from_jax(metrics["loss"])],
            )

    def _bind(self, program: Program, sample: Sample) -> Callable[[], dict[str, jax.Array]]:
        (latent, _, text), condition = sample.inputs.ours()
        batch = condition | {
            "latent": latent.astype(jnp.float32),
            "text": text.astype(jnp.float32),
            "sample": jnp.zeros((1,), jnp.int32),
        }
        null = NullText(text=batch["text"][0], text_mask=batch["text_mask"][0])
        program.given = {NULL_TEXT: null}
        lost = self._state is None or any(x.is_deleted() for x in jax.tree.leaves(self._state))
        if lost:  # a failed step has deleted its state
            self._state = program.start({"params": self._weights()})

        def call() -> dict[str, jax.Array]:
            with meshes.use(self.mesh):
                self._state, metrics = program.step(self._state, batch)
            return metrics

        return call

    def _weights(self) -> Any:
        return variables(self.reference.state_dict(), self.table)["params"]

    def gradients(self, name: str, sample: Sample) -> dict[str, Tensor]:
        """Gradients of the loss at given noise and time, by path."""
        program = self.programs[name]
        (x_0, t, text), condition = sample.inputs.ours()
        noise = to_jax(sample.noise, "b c f h w -> b f h w c").astype(jnp.float32)
        x_0, noisy, t = x_0.astype(jnp.float32), to_jax(sample.inputs.noisy), t / 1000
        time = t[..., None, None, None]
        x_t = (1 - time) * x_0 + time * noise
        read = MugvCondition(text=text.astype(jnp.float32), **condition)
        denoiser = program.objective.denoiser
        compute = functools.partial(for_compute, dtype=program.dtype)

        def loss(params: Any) -> jax.Array:
            v = denoiser.velocity({"params": compute(params)}, x_t, t, read)
            return jnp.mean(velocity_loss(v, x_0 - noise, noisy))

        with meshes.use(self.mesh):
            grads = jax.jit(jax.grad(loss))(self._weights())
        flat = traverse_util.flatten_dict({"params": grads}, sep="/")
        return {path: from_jax(leaf) for path, leaf in flat.items()}

    def layout(self, grads: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gradients with published names, converted to our paths."""
        return {rule.path: parameter(grads, rule, self.table) for rule in self.table.rules}


def _on_host(grads: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradients in the host's memory: the device needs its own for the other side."""
    found = {name: grad.cpu() for name, grad in grads.items()}
    grads.clear()
    torch.cuda.empty_cache()
    return found


def _total_error(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Relative L2 error of all gradients together, in which small ones weigh little."""
    pairs = [(actual[path].cpu().double(), wide) for path, wide in expected.items()]
    error = sum((a - b).square().sum() for a, b in pairs)
    return float((error / sum(b.square().sum() for _, b in pairs)).sqrt())
