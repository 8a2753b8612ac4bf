# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Tiny models of transformers whose next token depends on the last one alone: a fixed sentence."""

import itertools
import logging

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from mugv_jax.rewriting import local
from mugv_jax.rewriting.answer import RewritingError
from mugv_jax.rewriting.rewriter import Rewriter

SENTENCE = "this video describes a red boat ."
SPECIAL = ["<unk>", "</s>", "<image>", "<user>", "<answer>"]
WORDS = [*SPECIAL, *SENTENCE.split()]
TEMPLATE = (
    "{% for m in messages %}<user> {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} "
    "{% endif %}{% endfor %}{% endif %}{% endfor %} <answer>"
)


def tokenizer() -> transformers.PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        unk_token="<unk>",
        eos_token="</s>",
        pad_token="</s>",
        chat_template=TEMPLATE,
        additional_special_tokens=["<image>", "<user>", "<answer>"],
    )


def sizes() -> transformers.LlamaConfig:
    return transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=1,
        bos_token_id=None,
        tie_word_embeddings=False,
    )


def say(model, embedding, head, *, end: bool) -> None:
    """Set weights: after <answer> the sentence, then the end, or the sentence again."""
    torch.manual_seed(0)
    order = [WORDS.index("<answer>"), *range(len(SPECIAL), len(WORDS)), 1 if end else len(SPECIAL)]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.zero_()
        embedding.weight.copy_(torch.eye(len(WORDS), 16))
        head.weight.zero_()
        for before, after in itertools.pairwise(order):
            head.weight[after, before] = 1.0


@pytest.fixture
def folder(tmp_path):
    def make(*, end=True):
        model = transformers.LlamaForCausalLM(sizes())
        say(model, model.model.embed_tokens, model.lm_head, end=end)
        model.save_pretrained(tmp_path / "model")
        tokenizer().save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return make


@pytest.fixture
def folder_that_sees(tmp_path):
    vision = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
    )
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=sizes(), image_token_index=WORDS.index("<image>")
    )
    model = transformers.LlavaForConditionalGeneration(config)
    say(model, model.get_input_embeddings(), model.lm_head, end=True)
    model.generation_config.eos_token_id = 1
    model.save_pretrained(tmp_path / "vlm")
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=28)
    transformers.LlavaProcessor(
        images, tokenizer(), patch_size=14, vision_feature_select_strategy="default",
        chat_template=TEMPLATE, image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(tmp_path / "vlm")  # fmt: skip
    return tmp_path / "vlm"


def test_a_model_of_words_writes_and_says_that_it_sees_no_picture(folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    rewriter = Rewriter(folder(), cache=tmp_path / "cache")
    assert rewriter("a boat", np.zeros((32, 32, 3), np.uint8)) == SENTENCE
    assert "reads no pictures" in caplog.text
    assert rewriter("a boat") == SENTENCE
    assert "kept from before" in caplog.text


def test_a_model_that_reads_pictures_gets_them(folder_that_sees, monkeypatch):
    given = []
    real = transformers.LlavaForConditionalGeneration.generate

    def generate(self, **inputs):
        given.append(inputs.get("pixel_values"))
        return real(self, **inputs)

    monkeypatch.setattr(transformers.LlavaForConditionalGeneration, "generate", generate)
    rewriter = Rewriter(folder_that_sees, cache=None)
    assert rewriter("a boat", np.zeros((32, 32, 3), np.uint8)) == SENTENCE
    assert rewriter("a boat") == SENTENCE
    assert given[0].shape == (1, 3, 28, 28)
    assert given[1] is None


def test_an_answer_without_end_is_cut_at_a_sentence_and_ends_in_time(folder, monkeypatch):
    monkeypatch.setattr(local, "MOST_TOKENS", 9)
    assert Rewriter(folder(end=False), cache=None)("a boat") == SENTENCE
    monkeypatch.setattr(local, "MOST_TOKENS", 10_000)
    with pytest.raises(RewritingError, match="no answer within"):
        Rewriter(folder(end=False), cache=None, timeout_s=1e-3)("a boat")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not the folder of a chat model"):
        Rewriter(tmp_path, cache=None)("a boat")
