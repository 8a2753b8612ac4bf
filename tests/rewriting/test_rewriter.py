# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import base64
import io
import logging

import numpy as np
import pytest
from PIL import Image

from mugv_jax.rewriting import endpoint, instruction
from mugv_jax.rewriting.answer import Answer, RewritingError, description
from mugv_jax.rewriting.rewriter import Rewriter
from tests.rewriting.stub import CAPTION, chat, serving


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    for name in (endpoint.BASE_URL, endpoint.KEY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(endpoint, "WAITS_S", (0.01, 0.01))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def rewriter(monkeypatch, tmp_path):
    """Function that makes a rewriter of a stub."""

    def make(stub, model="small-vlm", **options):
        monkeypatch.setenv(endpoint.BASE_URL, stub.url)
        return Rewriter(model, **{"cache": tmp_path / "cache", **options})

    return make


def test_a_prompt_and_a_picture_are_sent_and_the_description_comes_back(rewriter, monkeypatch):
    monkeypatch.setenv(endpoint.KEY, "secret")
    picture = np.zeros((40, 2000, 3), np.uint8)
    picture[..., 0] = 200
    with serving() as stub:
        assert rewriter(stub)("a paper boat", picture) == CAPTION
    ((path, key, body),) = stub.asked
    assert (path, key) == ("/v1/chat/completions", "Bearer secret")
    assert set(body) == {"model", "messages"}
    assert body["model"] == "small-vlm"
    told, asked = body["messages"]
    assert told == {"role": "system", "content": instruction.SYSTEM}
    image, text = asked["content"]
    assert text["text"] == instruction.request("a paper boat", picture=True)
    head, content = image["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64"
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert seen.shape == (20, 1024, 3)
    assert abs(seen[..., 0].mean() - 200) < 3


def test_an_answer_is_kept_by_model_prompt_picture_and_instruction(rewriter, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    black, grey = (np.full((32, 32, 3), level, np.uint8) for level in (0, 128))
    with serving() as stub:
        for model, prompt, picture, asked in (
            ("a", "a boat", None, 1),
            ("a", "a boat", None, 1),
            ("a", "a ship", None, 2),
            ("b", "a boat", None, 3),
            ("b", "a boat", black, 4),
            ("b", "a boat", Image.fromarray(black), 4),
            ("b", "a boat", grey, 5),
        ):
            assert rewriter(stub, model)(prompt, picture) == CAPTION
            assert len(stub.asked) == asked, (model, prompt)
        monkeypatch.setattr(instruction, "VERSION", instruction.VERSION + 1)
        rewriter(stub, "a")("a boat")
        rewriter(stub, "a", cache=None)("a boat")
        assert len(stub.asked) == 7
    shown = [record.getMessage() for record in caplog.records]
    assert all("rewritten by" in line and CAPTION in line for line in shown)
    assert ["kept from before" in line for line in shown[:3]] == [False, True, False]


def test_a_damaged_cache_is_asked_again_and_one_that_cannot_be_written_is_told(
    rewriter, tmp_path, caplog
):
    with serving() as stub:
        rewriter(stub)("a boat")
        (file,) = (tmp_path / "cache").iterdir()
        file.write_text(file.read_text()[:-40])
        assert rewriter(stub)("a boat") == CAPTION
        (tmp_path / "taken").touch()
        assert rewriter(stub, cache=tmp_path / "taken")("a boat") == CAPTION
        assert len(stub.asked) == 3
    assert "is not kept" in caplog.text


@pytest.mark.parametrize(
    ("replies", "message", "requests"),
    [
        ([(401, b'{"error": {"message": "bad key"}}')], "HTTP status 401: bad key", 1),
        ([(404, b'{"detail": "no such model"}')], "404: no such model", 1),
        ([(400, b"<html>")], "400: Bad Request", 1),
        ([(503, b"busy")], "503: Service Unavailable", 3),
        ([(200, b"no json")], "not JSON", 1),
        ([(200, b'{"choices": []}')], "is not one of an OpenAI-compatible server", 1),
        ([(200, b'["choices"]')], "is not one of an OpenAI-compatible server", 1),
        ([chat("")], "nothing to use", 1),
        ([chat(None)], "nothing to use", 1),
        ([chat("cut in the first", "length")], "cut off before a sentence ended", 1),
        ([chat("", "content_filter")], "refused: its content filter", 1),
        ([chat(None, refusal="not this")], "refused: 'not this'", 1),
        ([chat("I'm sorry, but I can't help.")], "refused", 1),
    ],
)
def test_a_failure_is_one_error_and_is_not_kept(replies, message, requests, rewriter, tmp_path):
    with serving(*replies) as stub:
        with pytest.raises(RewritingError, match=message) as caught:
            rewriter(stub)("a boat")
        assert len(stub.asked) == requests
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_a_busy_server_is_asked_again(rewriter):
    with serving((429, b"{}"), chat()) as stub:
        assert rewriter(stub)("a boat") == CAPTION


def test_a_server_that_does_not_answer_ends_at_the_time_limit(rewriter):
    with serving(None) as stub, pytest.raises(RewritingError, match=r"no answer within 0\.2 s"):
        rewriter(stub, timeout_s=0.2)("a boat")


def test_no_server_is_told(monkeypatch):
    with serving() as stub:
        monkeypatch.setenv(endpoint.BASE_URL, stub.url)
    with pytest.raises(RewritingError, match=r"127\.0\.0\.1.*refused"):
        Rewriter("small", cache=None)("a boat")


def test_wrong_settings_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="neither OPENAI_BASE_URL nor OPENAI_API_KEY is set"):
        Rewriter("small")
    monkeypatch.setenv(endpoint.BASE_URL, "localhost:8000/v1")
    with pytest.raises(ValueError, match="is no http"):
        Rewriter("small")
    monkeypatch.setenv(endpoint.BASE_URL, "http://localhost:8000/v1")
    with pytest.raises(ValueError, match=r"timeout_s=0 must be a positive"):
        Rewriter("small", timeout_s=0)
    with pytest.raises(ValueError, match="prompt is empty"):
        Rewriter("small")(" ")
    with pytest.raises(ValueError, match=r"not float64 \(4, 4\)"):
        Rewriter("small")("a boat", np.zeros((4, 4)))


def test_a_key_alone_asks_the_public_server_and_is_not_shown(monkeypatch):
    monkeypatch.setenv(endpoint.KEY, "secret")
    made = endpoint.Endpoint.of_environment("small", timeout_s=1)
    assert made.base_url == endpoint.PUBLIC
    assert "secret" not in repr(made)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<think>The user\nwants</think>\n A boat.", "A boat."),
        ("```text\nA boat\nsails.\n```", "A boat sails."),
        ("**Caption:** A boat.", "A boat."),
        ('"A boat."', "A boat."),
        ("Ice melts. I see it.", "Ice melts. I see it."),
    ],
)
def test_what_is_around_a_description_is_dropped(text, wanted):
    assert description(Answer(text), "m") == wanted


def test_a_cut_answer_ends_with_its_last_sentence():
    assert description(Answer("A boat. It sa", cut=True), "m") == "A boat."
    for text in ("<think>still", "x" * 5000):
        with pytest.raises(RewritingError):
            description(Answer(text), "m")


def test_the_instruction_keeps_to_what_the_text_encoder_reads():
    assert "120 to 190 words" in instruction.SYSTEM
    assert instruction.WITH_PICTURE not in instruction.request("a boat", picture=False)
