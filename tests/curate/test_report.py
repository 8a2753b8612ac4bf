# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import collections
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from mugv_jax.curate.balance import BalanceConfig, balance
from mugv_jax.curate.best import BestConfig, select_best
from mugv_jax.curate.report import shown, write_report
from mugv_jax.curate.stages.thumbnail import Thumbnail
from mugv_jax.curate.thresholds import BALANCE, DUPLICATE, Threshold, decide, drop
from tests.browser import BROWSER, needs_browser
from tests.data.real_clips import real_clip

THRESHOLDS = {
    "sharpness": Threshold(column="sharpness", low=200.0, high=2000.0, source="MUG-V 2.1"),
    "aesthetic": Threshold(column="aesthetic", low=4.5, source="MUG-V 2.1"),
    "motion": Threshold(column="motion", low=1.0, high=20.0, unit="px", source="MUG-V 2.1"),
    "filter": Threshold(column="filter_flags", high=0, source="MUG-V 2.1"),
}
GIVEN = ("--config curate/mugv", "--config.thresholds.sharpness.low=200", "'--config.x=a b'")
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)> & \u2028"


def clips(count: int, thresholds=None) -> list[dict]:
    """Clips with scores, duplicates, tags and captions, decided about as curation does."""
    draw = np.random.default_rng(0)
    rows = []
    for i in range(count):
        row = {"clip": f"v{i // 8:04}_{i % 8:05}", "path": f"/raw/{i // 8}.mp4", "problem": None}
        row |= {"start_s": 2.0 * i, "end_s": 2.0 * i + 2, "seconds": 2.0, "aesthetic": None}
        row |= {"sharpness": float(draw.lognormal(6.3, 0.9)), "motion": float(draw.lognormal(1.5))}
        row |= {"filter_flags": ["shake"] if draw.uniform() < 0.1 else [], "caption": EVIL}
        row |= {"subjects": [EVIL if i % 3 else "person"], "width_px": 640, "height_px": 360}
        rows.append(row | dict.fromkeys(("group", "duplicate_of", "duplicate_kind", "similarity")))
    early = {name: each for name, each in (thresholds or THRESHOLDS).items() if name != "filter"}
    rows = decide(rows, early)
    for i in range(0, count - 3, 10):
        members = sorted(
            rows[i : i + 3],
            key=lambda row: (row["dropped_by"] is not None, -row["sharpness"], row["clip"]),
        )
        for row in members:
            row["group"] = members[0]["clip"]
        for row in members[1:]:
            row |= {"duplicate_of": members[0]["clip"], "duplicate_kind": "near", "similarity": 0.9}
    rows = drop(rows, DUPLICATE, lambda row: row.get("duplicate_of") is not None)
    for row in rows:
        if row["dropped_by"] is None and row["filter_flags"]:
            row["dropped_by"] = "filter"
    rows[-1] |= {"problem": EVIL, "dropped_by": "problem"}
    return rows


def reasons(rows) -> dict[str, int]:
    return dict(collections.Counter(row["dropped_by"] or "kept" for row in rows))


def dom(path, fragment="") -> str:
    """The page after its scripts have run."""
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000",
        f"--user-data-dir={path.parent / 'profile'}", "--dump-dom", f"{path.as_uri()}{fragment}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def counted(page: str) -> dict[str, int]:
    """Counts of the funnel, without rules that drop nothing."""
    found = re.findall(r'<tr data-row="(\w+)" data-count="(\d+)"', page)
    assert found, page[:2000]
    return {name: int(count) for name, count in found if int(count)}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("set") / "report.html"
    rows = clips(400)
    rows = balance(rows, BalanceConfig(by=("subjects",), alpha=0.5))
    rows = drop(rows, BALANCE, lambda row: not row["balanced"])
    rows = select_best(rows, BestConfig())
    videos = [{"name": "a.mp4", "duration_s": 7200.0, "problem": None}]
    videos.append({"name": f"{EVIL}.mp4", "duration_s": None, "problem": EVIL})
    videos.append({"name": "cut.mp4", "duration_s": 90.0, "stated_s": 600.0, "problem": None})
    picture = {"clip": rows[3]["clip"], "thumbnail": b"webp"}
    write_report(
        path, videos, rows, THRESHOLDS, asked=("filter_flags",), thumbnails=[picture],
        options=GIVEN,
    )  # fmt: skip
    return path, rows


@needs_browser
def test_the_page_counts_as_curation_did_and_shows_texts_as_they_are(report):
    path, rows = report
    page = dom(path)
    best = sum(row["best"] for row in rows)
    assert counted(page) == {"clips": 400, **reasons(rows), "best": best}
    assert "<title>Curation: " in page
    assert '<img src="x"' not in page
    assert "&lt;/script&gt;&lt;script&gt;" in page
    assert "off: not measured" in page  # aesthetic
    assert f'src="thumbnails/{rows[3]["clip"]}.webp"' in page
    assert re.search(r"<b>2\.02 h</b>of video", page)
    assert re.search(r"<b>1</b>bad file<", page)
    assert "cut off after 1.5 min of 10.0 min" in page
    assert page.count('class="group"') == 40
    assert '<aside id="changes" aria-live="polite" hidden="">' in page


@needs_browser
def test_a_threshold_in_the_link_decides_again_as_a_run_with_it_would(report):
    path, _ = report
    page = dom(path, "#sharpness.low=300&motion.high=")
    changed = {
        **THRESHOLDS,
        "sharpness": Threshold(column="sharpness", low=300.0, high=2000.0),
        "motion": Threshold(column="motion", low=1.0),
    }
    found = counted(page)
    expected = reasons(clips(400, changed))
    # Balance is not drawn again: clips that it left out stay out.
    kept = expected.pop("kept")
    assert found["kept"] + found.get("balance", 0) == kept
    assert {name: found[name] for name in expected} == expected
    options = re.search(r'<code id="options">(.*?)</code>', page)
    assert options is not None
    assert options[1] == (
        "--config curate/mugv '--config.x=a b' --config.thresholds.sharpness.low=300 "
        "--config.thresholds.motion.high=none"
    )
    assert "Just dropped (below 300)" in page
    assert "Just dropped (above 20)" not in page


@needs_browser
def test_numbers_and_lengths_are_written_for_people_and_strata_are_all_there(tmp_path):
    rows = clips(60)
    for i, row in enumerate(rows):
        row |= {"drift": 2e-5 * i, "seconds": 2.4, "stratum": f"camera_motion {i} of 60 / still"}
        row["dropped_by"] = None
    path = tmp_path / "report.html"
    videos = [{"name": "a.mp4", "duration_s": 144.0, "problem": None}]
    write_report(path, videos, rows, THRESHOLDS, scores=("drift",))
    page = dom(path)
    assert re.search(r"<b>2\.4 min</b>of video", page)
    assert re.search(r"<b>1</b>video<", page)
    assert "e-5" not in page.partition("<script>")[0]
    assert ">5×10⁻⁴</text>" in page
    assert all(f"camera_motion {i} of 60 / still</span>" in page for i in range(60))


def test_the_page_is_one_file_without_network_and_writes_the_thumbnails_it_shows(report):
    path, rows = report
    text = path.read_text()
    assert not re.findall(r'(?:src|href)="(?!#)', text)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert EVIL not in text
    assert [each.name for each in (path.parent / "thumbnails").iterdir()] == [
        f"{rows[3]['clip']}.webp"
    ]


def test_of_many_clips_a_sample_is_shown_with_those_next_to_thresholds():
    rows = clips(3000)
    found = shown(rows, THRESHOLDS, most=800)
    assert len(found) == 800
    for name, bound in (("sharpness", 200.0), ("sharpness", 2000.0), ("motion", 1.0)):
        near = sorted(range(len(rows)), key=lambda i: abs(rows[i][name] - bound))[:20]
        assert set(near) <= set(found)
    again = shown(rows[::-1], THRESHOLDS, most=800)
    assert {rows[::-1][place]["clip"] for place in again} == {rows[p]["clip"] for p in found}


def test_a_set_without_clips_has_a_page(tmp_path):
    write_report(tmp_path / "report.html", [], [], THRESHOLDS)
    assert "Curation report" in (tmp_path / "report.html").read_text()


def test_a_thumbnail_plays_as_long_as_its_clip(tmp_path):
    from mugv_jax.curate.frames import Wanted, numbered

    frames = numbered(str(real_clip("bikes.mp4")), 0.0, 2.0, (Wanted(None, 180),))[0]
    rows = [{"mid_frames": np.stack([frames[i] for i in range(0, 48, 3)]), "seconds": 2.0}]
    made = Thumbnail()(rows)[0]["thumbnail"]
    (tmp_path / "a.webp").write_bytes(made)
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.n_frames == 10
        assert min(picture.size) == 72
        picture.seek(0)
        picture.load()
        assert picture.info["duration"] * picture.n_frames == pytest.approx(2000, rel=0.02)
    assert len(made) < 20_000
