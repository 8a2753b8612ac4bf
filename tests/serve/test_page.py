# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""The page of the video server, driven in Chromium as a person does."""

import re

import pytest

from mugv_jax.serve.http.errors import Refusal
from tests.browser import BROWSER, needs_browser
from tests.serve.fake_server import MODEL, PAGE, STEPS, FakeServer, picture
from tests.serve.threads import serving

pytestmark = needs_browser
KEY = "the key of a tester"
PROMPT = "a red paper boat sails under a bridge"
# Whether the browser's disk has the first picture.
KEPT = """() => new Promise((resolve) => {
  const opening = indexedDB.open("mugv_jax", 1);
  opening.onsuccess = () => {
    const reading = opening.result.transaction("files").objectStore("files").get("image");
    reading.onsuccess = () => { opening.result.close(); resolve(Boolean(reading.result)); };
  };
})"""
EVIL = "<img src=x onerror=\"document.title='owned'\"> & </script>"


def file(name: str, content: bytes, kind: str = "image/png") -> dict:
    return {"name": name, "mimeType": kind, "buffer": content}


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def fake():
    fake = FakeServer()
    with serving(fake.app) as address:
        fake.url = address.url
        yield fake
        fake.cut()


@pytest.fixture
def page(chromium, fake):
    """The page of the fake server, which may say nothing in the console."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page, said = context.new_page(), []
    page.set_default_timeout(60_000)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(fake.url)
    page.wait_for_selector("#sizes input")
    page.said = said
    yield page
    context.close()
    assert said == []


def until(page, expression: str) -> None:
    """Waits for an expression to hold; Playwright's own way needs eval, which the page forbids."""
    for _ in range(1200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{expression} does not come true")


def submitted(page, fake, prompt: str = PROMPT) -> dict:
    """The request that a person sends with Ctrl+Enter."""
    page.fill("#prompt", prompt)
    with page.expect_response(lambda each: each.request.method == "POST"):
        page.keyboard.press("Control+Enter")
    return fake.requests[-1]


def test_a_video_is_made_while_its_progress_and_previews_are_shown(page, fake):
    page.wait_for_selector("#empty")
    page.set_input_files("#file-image", file("boat.png", picture(400, 300)))
    page.wait_for_selector(".crop")
    page.click("text=64 × 64")
    crop = page.eval_on_selector(".crop", "e => [e.style.left, e.style.top, e.style.width]")
    assert crop == ["12.5%", "0%", "75%"]
    sent = submitted(page, fake)
    assert sent == {
        "prompt": PROMPT, "model": "mugv-demo", "size": "64x64", "seconds": "2",
        "input_reference": 1,
    }  # fmt: skip
    page.wait_for_selector("text=Next in the queue")
    fake.step(2)
    page.wait_for_selector(".state >> text=25 %")
    assert page.get_attribute("#queue progress", "value") == "25"
    page.wait_for_selector(f"#queue img[alt='Preview after step 2 of {STEPS}']")
    assert page.title() == "25 % · Test videos"
    fake.step(STEPS)
    page.wait_for_selector(".video img")
    assert page.is_hidden("#queue")
    page.wait_for_selector("#live >> text=Finished", state="attached")
    page.click(".video .open")
    until(page, "document.querySelector('#detail video').currentTime > 0")
    facts = page.inner_text("#detail dl")
    assert re.search(r"Seed\s+7\s", facts)
    assert "first picture" in facts
    with page.expect_download() as download:
        page.click("#detail >> text=Download")
    assert download.value.suggested_filename == "a_red_paper_boat_sails_under_7.mp4"
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")


def test_a_cancelled_video_stays_with_its_reason_until_it_is_removed(page, fake):
    submitted(page, fake)
    fake.add("another one", status="completed")
    page.click("text=Cancel")
    page.wait_for_selector(".cancelled >> text=Cancelled before it was finished.")
    page.click("[aria-label='Delete: another one']")
    page.click("#confirm >> text=Delete video")
    # The focus goes on to what took the place of the video.
    until(page, "document.activeElement.closest('article')?.matches('.cancelled')")
    page.click("[aria-label^='Delete: ']")
    page.wait_for_selector("#empty")
    assert not fake.videos


def test_a_video_is_repeated_with_its_picture_and_settings_and_deleted_after_a_question(page, fake):
    page.click("summary")
    page.set_input_files("#file-image", file("boat.png", picture(96, 64)))
    page.wait_for_selector(".crop")
    page.click("text=Other >> nth=1")
    page.fill("[name=frames]", "33")
    page.fill("#steps", "5")
    page.select_option("#lora", "ink")
    first = submitted(page, fake)
    assert (first["frames"], first["steps"], first["lora"]) == ("33", "5", "ink")
    fake.step(STEPS)
    page.click("#reset")
    page.fill("#prompt", "typed in the meantime")
    page.click("[aria-label^='Repeat with these settings: ']")
    page.wait_for_selector(".crop")
    with page.expect_response(lambda each: each.request.method == "POST"):
        page.click("#generate")
    assert fake.requests[-1] == {**first, "seed": "7"}
    page.click("text=Undo")
    until(page, "document.querySelector('#prompt').value === 'typed in the meantime'")
    assert page.is_hidden(".crop")
    for answer, left in (("Keep it", 2), ("Delete video", 1)):
        page.click("[aria-label^='Delete: ']")
        page.click(f"#confirm >> text={answer}")
        page.wait_for_selector("#confirm", state="hidden")
        until(page, f"document.querySelectorAll('article').length === {left}")
    assert len(fake.videos) == 1


def test_the_last_frame_of_a_video_is_the_first_picture_of_the_next(page, fake):
    fake.add(EVIL, status="completed")
    page.click(".video .open")
    assert page.inner_text("#detail-title") == EVIL
    page.click("text=Continue from its last frame")
    page.wait_for_selector("#field-image img")
    red = page.eval_on_selector(
        "#field-image img",
        """image => {
          const canvas = new OffscreenCanvas(1, 1).getContext("2d");
          canvas.drawImage(image, 0, 0, 1, 1);
          return canvas.getImageData(0, 0, 1, 1).data[0];
        }""",
    )
    assert red > 190  # the video grows from 20 to 220
    assert page.input_value("#prompt") == EVIL
    assert page.title() == "Test videos"


def test_another_model_has_only_the_fields_that_it_offers(page, fake):
    plain = {"id": "plain", "name": "Plain", "sizes": ["64x64"], "default_size": "64x64"}
    plain |= {"image": False, "last_image": False, "key_frames": False, "video": False}
    plain |= {"negative_prompt": False, "loras": [], "custom_size": False, "frames": None}
    fake.models = [MODEL, {**MODEL, **plain}]
    page.reload()
    page.wait_for_selector("#sizes input")
    page.set_input_files("#file-image", file("boat.png", picture(96, 64)))
    page.wait_for_selector(".crop")
    page.select_option("#model", "plain")
    page.click("summary")
    shown = page.eval_on_selector_all(
        ".field", "all => all.filter((each) => each.checkVisibility()).map((each) => each.id)"
    )
    names = ("model", "prompt", "size", "length", "seed", "steps", "guidance", "enhance")
    assert shown == [f"field-{name}" for name in names]
    assert submitted(page, fake) == {
        "prompt": PROMPT, "model": "plain", "size": "64x64", "seconds": "2"
    }  # fmt: skip


def test_mistakes_are_told_beside_their_fields_and_nothing_is_sent(page, fake):
    page.set_input_files("#file-image", file("notes.png", b"no picture"))
    page.wait_for_selector("#image-error >> text=“notes.png” is no picture")
    page.set_input_files("#file-image", file("large.png", bytes(2**20 + 1)))
    page.wait_for_selector("#image-error >> text=at most 1 MB")
    page.click("#generate")
    assert page.inner_text("#prompt-error") == "Describe what the video should show."
    assert page.evaluate("document.activeElement.id") == "prompt"
    page.fill("#prompt", PROMPT)
    assert page.inner_text("#prompt-error") == ""
    page.click("text=Other >> nth=0")
    page.fill("[name=width]", "100")
    page.fill("[name=height]", "64")
    page.click("text=Other >> nth=1")
    page.fill("[name=frames]", "20")
    page.click("summary")
    page.fill("#steps", "101")
    page.click("summary")
    page.click("#generate")
    assert "such as width 104." in page.inner_text("#size-error")
    assert "a multiple of 8 plus 1, from 9 to 257, such as 17" in page.inner_text("#length-error")
    assert "from 1 to 100" in page.text_content("#steps-error")
    assert page.evaluate("document.activeElement.name") == "width"
    assert not fake.requests


def test_what_the_server_refuses_is_told_at_the_field_and_all_that_was_typed_stays(page, fake):
    fake.refusal = Refusal(400, "steps: too little time for it.", param="steps")
    submitted(page, fake)
    page.wait_for_selector("#steps-error >> text=Too little time for it.")
    assert page.evaluate("document.activeElement.id") == "steps"
    fake.refusal = Refusal(429, "the queue is full.", code="queue_full")
    page.fill("#steps", "9")
    page.click("#generate")
    page.wait_for_selector("#form-error >> text=The queue is full.")
    page.set_input_files("#file-image", file("boat.png", picture(96, 64)))
    until(page, KEPT)
    page.reload()
    page.wait_for_selector(".crop")
    assert (page.input_value("#prompt"), page.input_value("#steps")) == (PROMPT, "9")
    # Chromium itself notes every answer of 400 and more.
    assert len(page.said) == 2
    assert all("Failed to load resource" in each for each in page.said)
    page.said.clear()


def test_the_page_finds_a_server_again_and_what_happened_meanwhile(page, fake):
    submitted(page, fake)
    page.wait_for_selector("#queue-cards article")
    page.context.set_offline(True)
    fake.cut()
    page.wait_for_selector("#away >> text=does not answer")
    page.click("#generate")
    page.wait_for_selector("#form-error >> text=Nothing is lost")
    fake.step(STEPS)
    page.context.set_offline(False)
    page.wait_for_selector(".video img")
    page.wait_for_selector("#away", state="hidden")
    assert page.input_value("#prompt") == PROMPT
    assert all("ERR_INTERNET_DISCONNECTED" in each for each in page.said)
    page.said.clear()


def test_without_a_stream_of_events_the_list_is_asked_again(page, fake):
    fake.streams = False
    page.clock.install()
    page.reload()
    page.wait_for_selector("#sizes input")
    submitted(page, fake)
    fake.step(4)
    for _ in range(3):
        page.clock.run_for(3000)
    page.wait_for_selector(".state >> text=50 %")
    assert page.said
    assert all("429" in each for each in page.said)
    page.said.clear()


def test_a_key_is_asked_for_and_sent_also_for_pictures_and_videos(chromium):
    fake = FakeServer(who=lambda key: "tester" if key == KEY else None)
    fake.add(PROMPT, status="completed")
    with serving(fake.app) as address:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(address.url)
        for key in ("a wrong key", KEY):
            page.fill("#key-input", key)
            page.keyboard.press("Enter")
            if key != KEY:
                page.wait_for_selector("#key-error >> text=does not know this key")
        page.wait_for_selector(".video img[src^='blob:']")
        page.click(".video .open")
        until(page, "document.querySelector('#detail video').currentTime > 0")
        fake.cut()
        context.close()


def test_on_a_phone_nothing_is_wider_than_the_window_and_old_videos_come_with_scrolling(page, fake):
    for i in range(80):
        fake.add(f"video {i} of {'a_very_long_word' * 9}", status="completed", size="64x96")
    page.set_viewport_size({"width": 360, "height": 740})
    page.emulate_media(color_scheme="dark")
    page.reload()
    page.wait_for_selector(".video")
    page.click("summary")
    for width in (320, 360, 390, 700):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    until(
        page,
        """() => {
          scrollTo(0, document.body.scrollHeight);
          return document.querySelectorAll("article").length === 80;
        }""",
    )
    assert page.is_hidden("#gallery-more")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input:not([type=radio]), select, textarea")]
          .filter((each) => !(each.textContent || each.ariaLabel || each.labels?.length))
          .map((each) => each.outerHTML)"""
    )
    assert unnamed == []


def test_the_page_asks_no_other_site():
    for path in PAGE.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, path.name
        assert "https:" not in text, path.name
        assert "innerHTML" not in text, path.name
