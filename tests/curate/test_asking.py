# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import base64
import io
import json
import logging

import numpy as np
import pytest
from PIL import Image

from mugv_jax.curate.stages.asking import FLAGS, Captioner, Filter, ServerGone, Tagger
from mugv_jax.rewriting import endpoint
from tests.data.real_clips import real_clip
from tests.rewriting.stub import CAPTION, chat, serving

ROW = {"clip": "bikes_00000", "path": str(real_clip("bikes.mp4")), "start_s": 1.0, "end_s": 4.2}


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    monkeypatch.delenv(endpoint.KEY, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(endpoint, "WAITS_S", (0.01, 0.01))


@pytest.fixture
def stage(tmp_path):
    """Function that makes a stage of a stub."""

    def make(cls, stub, **settings):
        settings = {"cache": str(tmp_path / "cache"), "at_once": 1, "side_px": 96, **settings}
        return cls(model="vlm", base_url=stub.url, **settings)

    return make


def counted(text: str, read: int, written: int) -> tuple[int, bytes]:
    """A reply that tells its tokens."""
    status, content = chat(text)
    usage = {"prompt_tokens": read, "completion_tokens": written}
    return status, json.dumps({**json.loads(content), "usage": usage}).encode()


def test_a_caption_is_asked_for_with_a_frame_a_second_and_paid_for_once(stage, caplog):
    caplog.set_level(logging.INFO)
    with serving(counted(CAPTION, 2000, 100)) as stub:
        captioner = stage(Captioner, stub, price_in=1.0, price_out=5.0)
        (made,) = captioner([ROW])
        assert made == {**ROW, "caption": CAPTION}
        assert "1 answers, 0 of no use; 2,000 tokens read and 100 written" in caplog.text
        assert "cost 0.0025" in caplog.text
        again = stage(Captioner, stub)
        assert again([ROW, {**ROW, "clip": "other"}])[1]["caption"] == CAPTION
        assert len(stub.asked) == 1
        again([{**ROW, "start_s": 2.0}])
        assert len(stub.asked) == 2
    told, asked = stub.asked[0][2]["messages"]
    assert told["content"] == captioner.prompt
    *images, words = asked["content"]
    assert words["text"].startswith("3 frames of one clip of 3.2 s")
    urls = [each["image_url"]["url"].partition(",")[2] for each in images]
    sent = [np.asarray(Image.open(io.BytesIO(base64.b64decode(url)))) for url in urls]
    assert [each.shape for each in sent] == [(96, 226, 3)] * 3
    assert np.abs(sent[0].astype(float) - sent[2]).mean() > 2


def test_flags_and_tags_are_read_from_json_in_whatever_wrapping(stage):
    flags = json.dumps({name: name == "shake" for name in FLAGS})
    tags = json.dumps({"subjects": ["Person ", "bike"], "actions": ["riding"], "scenes": []})
    with serving(chat(f"<think>{{}}</think>\n```json\n{flags}\n```"), chat(tags)) as stub:
        (made,) = stage(Filter, stub)([ROW])
        assert made["filter_flags"] == ["shake"]
        (made,) = stage(Tagger, stub)([{**ROW, "caption": CAPTION}])
    assert made["subjects"] == ["person", "bike"]
    assert (made["actions"], made["scenes"]) == (["riding"], [])
    assert stub.asked[1][2]["messages"][1]["content"] == CAPTION


def test_refusals_and_other_answers_leave_columns_empty_and_are_counted(stage, caplog):
    caplog.set_level(logging.INFO)
    missing = json.dumps(dict.fromkeys(FLAGS[:-1], False))
    replies = (chat("I cannot help with that."), chat("no JSON"), chat(missing), chat(CAPTION))
    with serving(*replies) as stub:
        assert stage(Captioner, stub)([ROW])[0]["caption"] is None
        checked = stage(Filter, stub)
        assert [checked([ROW])[0]["filter_flags"] for _ in range(2)] == [None, None]
        assert "2 answers, 2 of no use" in caplog.text
        assert f"does not say true or false of {FLAGS[-1]}" in caplog.text
        # Such an answer is not kept: the next run asks again.
        assert stage(Captioner, stub)([ROW])[0]["caption"] == CAPTION
        assert len(stub.asked) == 4


def test_a_server_that_is_gone_stops_the_run_and_what_was_answered_is_kept(stage):
    with serving(chat(CAPTION), (503, b"{}")) as stub:
        captioner = stage(Captioner, stub)
        rows = [ROW, {**ROW, "start_s": 2.0}]
        with pytest.raises(ServerGone, match=r"HTTP status 503.*What was answered is kept"):
            captioner(rows)
        assert len(stub.asked) == 4  # the second clip is tried three times
        assert captioner(rows[:1])[0]["caption"] == CAPTION
        assert len(stub.asked) == 4


def test_a_server_is_asked_for_its_models_before_the_work(stage, monkeypatch, caplog):
    with serving() as stub:
        stage(Captioner, stub).check()
        stub.models = ("other", "more")
        stage(Captioner, stub).check()
        assert caplog.messages == [f"captioner: {stub.url} lists no model 'vlm', only other, more."]
        stub.models = 404  # a server without such a list
        stage(Captioner, stub).check()
        stub.models = 401
        with pytest.raises(ValueError, match=f"base_url: vlm at {stub.url}.*KEY is not set"):
            stage(Captioner, stub).check()
        monkeypatch.setenv(endpoint.KEY, "wrong")
        with pytest.raises(ValueError, match="the key in OPENAI_API_KEY is not accepted"):
            stage(Captioner, stub).check()
    assert not stub.asked
    with pytest.raises(ValueError, match=f"at {stub.url}: no server answers there"):
        stage(Captioner, stub).check()
