# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser: a whole round by the keyboard alone."""

import pytest
from PIL import Image

from mugv_jax.serve.label.app import label_app
from mugv_jax.serve.label.create import CreateConfig, paired_groups, single_groups, write_set
from mugv_jax.serve.label.questions import ECOMMERCE, KINDS, PAIRS
from mugv_jax.serve.label.sources import Source
from mugv_jax.serve.label.store import Store
from mugv_jax.serve.label.tasks import Tasks
from tests.browser import browser, needs_browser
from tests.serve.label.sets import write_clip
from tests.serve.threads import serving

EVIL = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
READY = (
    "!document.getElementById('work').hidden && !!document.querySelector('#answers button:enabled')"
)
SAVED = "document.getElementById('saved').innerText === 'saved'"
TIMES = "[...document.querySelectorAll('#clips video')].map((video) => video.currentTime)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def sources(folder, model, count, prompt=EVIL, picture=None):
    made = []
    for number in range(count):
        path = folder / f"{model}{number}.mp4"
        write_clip(path, number, frames=24)
        made.append(Source(id=str(number), path=path, model=model, prompt=prompt, picture=picture))
    return made


def served(folder, kind, groups):
    """A store, and a server of a set that one annotator is to do."""
    made = write_set(folder / "set", kind, groups, KINDS[kind].stages, CreateConfig(annotators=1))
    store = Store(folder / "set")
    return made, store, serving(label_app(folder / "set", made, store, Tasks(made, store)))


def text(page, name):
    return page.run(f"document.getElementById('{name}').innerText")


@needs_browser
def test_a_round_of_pairs_by_the_keyboard_alone(page, tmp_path):
    groups = paired_groups(sources(tmp_path, "ours", 3), sources(tmp_path, "theirs", 3))
    _, store, server = served(tmp_path, PAIRS, groups)
    with server as address:
        page.open(address.url)
        page.until("document.activeElement.id === 'token'")
        for key in "wrong":
            page.press(key)
        page.press("Enter")
        page.until("document.getElementById('notice').innerText.includes('not known')")
        page.open("about:blank")
        page.open(f"{address.url}#{store.add_annotator('anna')}")
        page.until(READY)
        assert page.run("location.hash") == ""
        assert text(page, "prompt") == EVIL
        assert page.run("document.querySelectorAll('#prompt *').length") == 0
        _play(page)
        _undo(page)
        _without_network(page, store)
        for _ in range(2):  # what is left of the first, and the second pair
            while page.run("document.getElementById('steps').innerText") != "4 of 4":
                _answer(page, "2")
            _answer(page, "ArrowLeft")
        page.until(SAVED)  # else the page asks whether to leave it
        page.open("about:blank")  # and comes back later
        page.open(address.url)
        page.until(READY)
        assert text(page, "counts") == "2 done, 1 to go"
        for _ in range(4):
            _answer(page, "1")
        page.until("document.getElementById('restTitle').innerText === 'All done'")
    assert page.run("document.title") == "Labelling"
    expected = [error for error in page.errors if "401" not in error and "INTERNET" not in error]
    assert expected == []
    found = [each for each in store.answers() if each.undone is None]
    assert len({(each.item, each.question) for each in found}) == len(found) == 12
    overall = [each for each in found if each.question == "overall"]
    assert {each.answer == ("first", "second")[each.left_clip] for each in overall} == {True}
    assert all(each.seconds >= 0 for each in found)


def _answer(page, key):
    """Answers the question that is shown, and waits for the next one, or the end."""
    page.until(READY)
    page.run("window.before = document.querySelector('#answers button')")
    page.press(key)
    page.until("document.querySelector('#answers button') !== window.before"
               " || document.getElementById('work').hidden")  # fmt: skip


def _play(page):
    """Both videos move together, stop, and go on by single frames."""
    page.until(f"{TIMES}.every((time) => time > 0.2)")
    page.press(" ")
    page.until("[...document.querySelectorAll('video')].every((video) => video.paused)")
    first, second = page.run(TIMES)
    assert abs(first - second) < 0.001
    page.press("r")
    page.until(f"{TIMES}.every((time) => time === 0)")
    for key, frame in ((".", 1), (".", 2), (",", 1)):
        page.press(key)
        page.until(f"{TIMES}.every((time) => Math.abs(time - {(frame + 0.5) / 12}) < 0.01)")
    page.press("-")
    assert text(page, "speed") == "0.5×"
    page.press("?")
    assert page.run("document.getElementById('help').open")
    page.run("document.getElementById('help').close()")


def _undo(page):
    """The last answer is taken back, and its question is asked again."""
    _answer(page, "3")
    assert text(page, "steps") == "2 of 4"
    page.press("u")
    page.until("document.getElementById('steps').innerText === '1 of 4'")
    page.until(SAVED)


def _without_network(page, store):
    """An answer that the server cannot hear is kept, said to be late, and sent later."""
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    page.call("Network.enable")
    page.call("Network.emulateNetworkConditions", offline=True, **network)
    _answer(page, "1")
    page.until("document.getElementById('notice').innerText.includes('Not saved yet')")
    assert [each.undone is None for each in store.answers()] == [False]
    page.call("Network.emulateNetworkConditions", offline=False, **network)
    page.until(SAVED)
    assert [each.undone is None for each in store.answers()] == [False, True]
    assert page.run("document.getElementById('notice').hidden")


@needs_browser
def test_stages_follow_each_other_with_the_picture_of_the_product_on_a_phone(page, tmp_path):
    Image.new("RGB", (100, 200), "red").save(tmp_path / "product.png")
    own = sources(tmp_path, "ours", 1, "a product", tmp_path / "product.png")
    _, store, server = served(tmp_path, ECOMMERCE, single_groups(own, ("ours",)))
    with server as address:
        page.resize(360, 640, phone=True)
        page.open(f"{address.url}#{store.add_annotator('anna')}")
        for stage, question in enumerate(("recording", "product", "quality")):
            page.until(f"document.getElementById('question').innerText.includes('{question}')")
            _answer(page, "1")
            assert stage == 2 or page.until(READY)
        page.until("document.getElementById('restTitle').innerText === 'All done'")
        assert page.run("document.documentElement.scrollWidth") <= 360
        assert page.run("document.getElementById('picture').naturalHeight") == 200
    assert [each.answer for each in store.answers()] == ["pass"] * 3
