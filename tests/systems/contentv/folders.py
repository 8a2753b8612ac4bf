# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A small ContentV: sizes, its folder as published, and outputs of other libraries from it."""

import json
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers

from mugv_jax.nn.mmdit.model import MMDiTConfig
from mugv_jax.nn.text.clip import ClipTextConfig
from mugv_jax.nn.text.t5 import T5Config
from mugv_jax.nn.wan.vae import WanVAEConfig
from mugv_jax.systems.contentv.system import ContentvConfig
from mugv_jax.weights.tables import mmdit
from tests.nn.sd3 import make_transformer, perturbed, velocity
from tests.vocabulary import train_vocabulary, write_clip_vocabulary

CORPUS = ("a red paper boat drifts down a rainy street", "a cat sits on the mat", "ugly, blurry")
PADS = {"": "<|endoftext|>", "_2": "!"}  # of the two CLIPs
CLIP = {"vocab_size": 559, "mlp_dim": 32, "depth": 3, "num_heads": 2, "end": 558}
# Four heads: they divide over two tensor and two sequence shards.
SMALL = ContentvConfig(
    dit=MMDiTConfig(depth=3, num_heads=4, head_dim=8, text_dim=48, pooled_dim=32),
    vae=WanVAEConfig(width=8, multipliers=(1, 2, 2, 2), layers=1),
    clip_l=ClipTextConfig(**CLIP, width=16, features=12),
    clip_g=ClipTextConfig(**CLIP, width=24, features=20, activation="gelu"),
    text=T5Config(vocab_size=260, width=48, head_dim=8, mlp_dim=32, depth=2, num_heads=2),
)
SHARD = "60KB"  # of transformer and T5: several files and an index


def write_published(folder: Path) -> Path:
    """Saves SMALL with diffusers and transformers, tokenizers included."""
    save_transformer(folder / "transformer")
    _vae().save_pretrained(folder / "vae")
    for suffix, sizes in (("", SMALL.clip_l), ("_2", SMALL.clip_g)):
        made = _clip(sizes)
        made.save_pretrained(folder / f"text_encoder{suffix}")
        (folder / f"tokenizer{suffix}").mkdir()
        tokens = write_clip_vocabulary(folder / f"tokenizer{suffix}", CORPUS, PADS[suffix])
        assert tokens == sizes.vocab_size
    _t5().save_pretrained(folder / "text_encoder_3", max_shard_size=SHARD)
    (folder / "tokenizer_3").mkdir()
    train_vocabulary(folder / "tokenizer_3", CORPUS)
    diffusers.FlowMatchEulerDiscreteScheduler(shift=17.0).save_pretrained(folder / "scheduler")
    index = {"_class_name": "ContentVPipeline", "vae": ["diffusers", "AutoencoderKLWan"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def save_transformer(folder: Path) -> None:
    """Saves the transformer in several files, under the name of the published class."""
    make_transformer(SMALL.dit).save_pretrained(folder, max_shard_size=SHARD)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_class_name": mmdit.CLASS}))


def _vae() -> diffusers.AutoencoderKLWan:
    torch.manual_seed(1)
    sizes = SMALL.vae
    return perturbed(
        diffusers.AutoencoderKLWan(
            base_dim=sizes.width,
            dim_mult=list(sizes.multipliers),
            num_res_blocks=sizes.layers,
            z_dim=sizes.latent_channels,
            temperal_downsample=list(sizes.halve_time),
        )
    )


def _clip(sizes: ClipTextConfig) -> transformers.CLIPTextModelWithProjection:
    torch.manual_seed(sizes.width)
    config = transformers.CLIPTextConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.width,
        intermediate_size=sizes.mlp_dim,
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.num_heads,
        projection_dim=sizes.features,
        max_position_embeddings=sizes.length,
        hidden_act=sizes.activation,
        bos_token_id=0,
        eos_token_id=2,  # as published: the vocabulary's last token is meant
    )
    return perturbed(transformers.CLIPTextModelWithProjection(config))


def _t5() -> transformers.T5EncoderModel:
    torch.manual_seed(3)
    sizes = SMALL.text
    config = transformers.T5Config(
        vocab_size=sizes.vocab_size,
        d_model=sizes.width,
        d_kv=sizes.head_dim,
        d_ff=sizes.mlp_dim,
        num_layers=sizes.depth,
        num_heads=sizes.num_heads,
        feed_forward_proj="gated-gelu",
    )
    return perturbed(transformers.T5EncoderModel(config))


@torch.no_grad()
def published_texts(folder: Path, prompts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """(states, summaries) by the libraries' own models and tokenizers in `folder`."""
    states, pooled = [], []
    for suffix in PADS:
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder / f"tokenizer{suffix}")
        encoder = transformers.CLIPTextModelWithProjection.from_pretrained(
            folder / f"text_encoder{suffix}"
        )
        ids = tokenizer(prompts, padding="max_length", max_length=77, truncation=True).input_ids
        read = encoder(torch.tensor(ids), output_hidden_states=True)
        states.append(read.hidden_states[-2])
        pooled.append(read.text_embeds)
    tokenizer = transformers.T5Tokenizer.from_pretrained(folder / "tokenizer_3")
    encoder = transformers.T5EncoderModel.from_pretrained(folder / "text_encoder_3")
    ids = tokenizer(prompts, padding="max_length", max_length=256, truncation=True).input_ids
    last = encoder(torch.tensor(ids)).last_hidden_state
    clips = torch.cat(states, dim=-1)
    clips = torch.nn.functional.pad(clips, (0, last.shape[-1] - clips.shape[-1]))
    return torch.cat([clips, last], dim=1), torch.cat(pooled, dim=-1)


@torch.no_grad()
def published_sample(
    folder: Path, prompt: str, negative: str, noise: np.ndarray, steps: int, guidance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Latent (f h w c) and frames in [0, 255] by the libraries' models and scheduler."""
    text, pooled = published_texts(folder, [prompt, negative])
    transformer = make_transformer(SMALL.dit)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, steps + 1)[:-1])
    x = torch.from_numpy(noise).movedim(-1, 0)[None]
    for t in scheduler.timesteps:
        wanted, unwanted = (
            velocity(transformer, x, t[None], text[i : i + 1], pooled[i : i + 1]) for i in (0, 1)
        )
        x = scheduler.step(unwanted + guidance * (wanted - unwanted), t, x).prev_sample
    vae = diffusers.AutoencoderKLWan.from_pretrained(folder / "vae")
    mean, deviation = (
        torch.tensor(values)[None, :, None, None, None]
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    pixels = vae.decode(x * deviation + mean).sample.clamp(-1, 1)
    frames = (pixels[0].movedim(0, -1) + 1) * 127.5
    return x[0].movedim(0, -1).numpy(), frames.numpy()
