# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""A curation from raw videos to lists of clips, in a folder that can be filled further at any time.

    parts/shots-HASH/       clips of every video, as they are found
    parts/clips-HASH/       scores of every clip
    parts/captions-HASH/    captions, flags and tags of the clips that are kept
    videos.parquet          a row for each video, with its problem if it has one
    clips.parquet           a row for each clip: scores, duplicates, and what dropped it
    captions.csv, best.csv  the kept clips and the best of them, for `mugv-jax data encode`
    thumbnails/, report.html
    curate.json             the raw videos, the config, and the seconds of each stage

HASH is one of the settings that a part depends on; thresholds are not among them.
"""

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mugv_jax.curate import (
    balance,
    best,
    duplicates,
    engine,
    listing,
    review,
    similar_videos,
    thresholds,
)
from mugv_jax.curate.engine import PROBLEM, Phase, Unit
from mugv_jax.curate.report import THUMBNAILS, write_report
from mugv_jax.curate.settings import CurateConfig
from mugv_jax.curate.stage import Row
from mugv_jax.curate.stages.asking import ServerGone
from mugv_jax.curate.table import Parts, column_types, write_table
from mugv_jax.data.captions import LISTS
from mugv_jax.data.folder_lock import only_process
from mugv_jax.data.part import CROP, END, START
from mugv_jax.data.whole_files import csv_bytes, write_whole
from mugv_jax.files import existing_file, read_json, resolved, user_path

log = logging.getLogger(__name__)

CAPTIONS, BEST, SETTINGS = LISTS[0], "best.csv", "curate.json"
CLIPS, VIDEOS, PARTS = "clips.parquet", "videos.parquet", "parts"
REPORT, SCORES = "report.html", ("float64", "int64")
FILES = (CAPTIONS, BEST, SETTINGS, CLIPS, VIDEOS, PARTS, THUMBNAILS, REPORT)
LISTED = ("path", "caption", "id", START, END, CROP)
# Columns that clips.parquet leaves out.
LARGE = ("thumbnail", "signature", "keypoints", "embedding")


@dataclasses.dataclass(frozen=True)
class Curated:
    """Result of a curation.

    videos, clips: rows of the two tables.
    seconds: of a processor, by stage.
    """

    videos: Sequence[Row]
    clips: Sequence[Row]
    seconds: Mapping[str, float]


def curate(
    raw: Path,
    out: Path,
    config: CurateConfig,
    workers: int | None = None,
    labels: str | os.PathLike | None = None,
    options: Sequence[str] = (),
) -> Curated:
    """Curates the videos of the folder or list `raw` into the folder `out`.

    workers: processors for Ray Data; None runs everything in this process, one after another.
    labels: list that people have filled in (`review`), whose labels become columns of the clips.
    options: those of the command line, which the report repeats.

    Raises:
        ValueError: a list, a folder or models that cannot be used. What was finished is kept.
    """
    check_places(raw, out)
    for stage in (config.probe, config.shots, config.frames, *config.measures):
        stage.check()
    _check_servers(config, out)
    if labels is not None:
        existing_file(labels, "review list")
    videos = listing.list_videos(raw)
    with only_process(out):
        _write_settings(out, raw, config, {})
        return _curate(raw, videos, out, config, workers, labels, options)


def check_places(raw: Path, out: Path, *, overwrite: bool = False) -> None:
    """Check that the videos of `raw` may be curated into `out`.

    overwrite: a set in `out` will be replaced.

    Raises:
        ValueError: the output is in the folder of the videos, has made the list of them, or holds
            a set of other videos.
    """
    source, target = resolved(raw), resolved(out)
    if source == target or (source.is_dir() and source in target.parents):
        raise ValueError(
            f"output {str(out)!r} is in the folder of the raw videos, {str(raw)!r}: name a folder "
            "outside of it."
        )
    if target in source.parents and source.relative_to(target).parts[0] in FILES:
        raise ValueError(
            f"{str(raw)!r} was made by a curation into {str(out)!r}, which would replace it: name "
            "another output."
        )
    settings = out / SETTINGS
    made_from = read_json(settings).get("raw") if settings.is_file() and not overwrite else None
    if made_from not in (None, str(source)):
        raise ValueError(
            f"output {str(out)!r} holds a set that was made from {made_from!r}: name another "
            "folder, or pass --overwrite to replace the set."
        )


def _check_servers(config: CurateConfig, out: Path) -> None:
    """Check the servers of models; one that has answered for this set before is only warned of.

    Raises:
        ValueError: a server that does not answer.
    """
    answered = any((out / PARTS).glob("captions-*"))
    for stage in config.asking:
        try:
            stage.check()
        except ValueError as error:
            if not answered:
                raise
            log.warning("%s Clips that were not asked about yet will need it.", error)


def _curate(
    raw: Path,
    videos: list[Row],
    out: Path,
    config: CurateConfig,
    workers: int | None,
    labels: str | os.PathLike | None,
    options: Sequence[str],
) -> Curated:
    usable, refused = _screened(videos, config.run.licences)
    shots = Phase("shots", "video", (config.probe, config.shots), listing.COLUMNS)
    refused = [{**dict.fromkeys(shots.columns), **row} for row in refused]
    units = [Unit(listing.content_key(row), [row]) for row in usable]
    found = engine.run(shots, units, out, workers)
    keys = [unit.key for unit in units]
    cut, copies = _first_copies([*found.read(keys), *refused])
    scored, score_keys, scores = _score(cut, out, config, workers)
    rows = _with_copies(scored, copies)
    rows = thresholds.decide(rows, config.thresholds)
    rows = similar_videos.mark_similar(rows, config.similar)
    rows = thresholds.drop(rows, thresholds.SIMILAR, lambda row: row["similar_video"] is not None)
    keypoints = functools.partial(_keypoints, scores, score_keys, copies)
    rows = duplicates.mark_duplicates(rows, config.duplicates, keypoints)
    rows = thresholds.drop(rows, thresholds.DUPLICATE, lambda row: row["duplicate_of"] is not None)
    seconds = found.seconds(keys) | scores.seconds(score_keys)
    types = scores.columns
    if config.asking:
        rows, answers, asked = _ask(rows, out, config, workers, types)
        seconds |= answers.seconds(asked)
        types = column_types(types, answers.columns)
    if labels is not None:
        rows = review.merge_review(rows, user_path(labels))
        types = column_types(types, review.WRITES)
    rows = balance.balance(rows, config.balance, config.measured)
    rows = thresholds.drop(rows, thresholds.BALANCE, lambda row: not row["balanced"])
    rows = best.select_best(rows, config.best, config.measured)
    done = _finish(videos, rows, out, config, seconds, types)
    _write_settings(out, raw, config, seconds)
    write_report(
        out / REPORT,
        done.videos,
        done.clips,
        config.thresholds,
        scores=[n for each in config.measures for n, kind in each.WRITES.items() if kind in SCORES],
        asked=[name for each in config.asking for name in each.WRITES],
        thumbnails=_thumbnails(scores, score_keys, copies),
        options=options,
    )
    return done


def _thumbnails(
    scores: Parts, keys: Sequence[str], copies: Mapping[str, Sequence[Row]]
) -> Iterator[Row]:
    """Thumbnails of all clips, read again from the parts; exact copies share one."""
    for row in scores.read(keys, without=("signature", "keypoints", "embedding")):
        for each in (row, *copies.get(row["clip"], ())):
            yield {"clip": each["clip"], "thumbnail": row.get("thumbnail")}


def _screened(videos: Sequence[Row], licences: Collection[str]) -> tuple[list[Row], list[Row]]:
    """Videos that may be used, and the others with the reason."""
    usable, refused = [], []
    for row in videos:
        if not licences or row["licence"] in licences:
            usable.append(row)
        else:
            told = repr(row["licence"]) if row["licence"] else "none"
            reason = f"licence: {told}; run.licences has {', '.join(licences)}."
            refused.append({**row, PROBLEM: reason})
    return usable, refused


def _keypoints(
    scores: Parts, keys: Sequence[str], copies: Mapping[str, Sequence[Row]], clips: Collection[str]
) -> dict[str, bytes]:
    """Keypoints of the named clips, read from the parts; exact copies share them."""
    found = {}
    for row in scores.read(keys, without=("signature", "thumbnail", "embedding")):
        for each in (row, *copies.get(row["clip"], ())):
            if each["clip"] in clips and row.get("keypoints") is not None:
                found[each["clip"]] = row["keypoints"]
    return found


def _first_copies(rows: Sequence[Row]) -> tuple[list[Row], dict[str, list[Row]]]:
    """Rows of the videos to measure, and those of exact copies by the clip that they repeat."""
    first: dict[tuple, str] = {}
    cut, copies = [], {}
    for row in rows:
        key = row["digest"], row.get("start_s"), row.get("end_s")
        if row.get(PROBLEM) is None and key in first:
            copies.setdefault(first[key], []).append(row)
            continue
        first[key] = row["clip"]
        cut.append(row)
    return cut, copies


def _score(
    rows: Sequence[Row], out: Path, config: CurateConfig, workers: int | None
) -> tuple[list[Row], list[str], Parts]:
    """Rows with the scores of all measures, in the order of the clips; keys and parts of them."""
    bad = [row for row in rows if row.get(PROBLEM) is not None]
    good = [row for row in rows if row.get(PROBLEM) is None]
    reads = column_types(
        listing.COLUMNS, config.probe.WRITES, config.shots.WRITES, {PROBLEM: "string"}
    )
    phase = Phase("clips", "unit", (config.frames, *config.measures), reads)
    units = portions(good, config.run.unit_clips)
    parts = engine.run(phase, units, out, workers)
    keys = [unit.key for unit in units]
    place = {row["clip"]: number for number, row in enumerate(good)}
    read = parts.read(keys, without=("thumbnail", "keypoints"))
    scored = sorted(read, key=lambda row: place[row["clip"]])
    return [*scored, *bad], keys, parts


def portions(rows: Sequence[Row], size: int) -> list[Unit]:
    """Units of up to `size` clips, each of one video, whose clips follow each other in `rows`."""
    units: list[Unit] = []
    for row in rows:
        if units and units[-1].rows[-1]["video"] == row["video"] and len(units[-1].rows) < size:
            units[-1] = Unit(units[-1].key, [*units[-1].rows, row])
        else:
            key = f"{listing.content_key(row)}-{row['clip'][-5:]}-{size}"
            units.append(Unit(key, [row]))
    return units


def _with_copies(rows: Sequence[Row], copies: Mapping[str, Sequence[Row]]) -> list[Row]:
    """Rows with those of exact copies, which have the scores of what they repeat."""
    made = []
    for row in rows:
        made.append(row)
        made += [{**row, **copy} for copy in copies.get(row.get("clip") or "", ())]
    return made


def _ask(
    rows: Sequence[Row], out: Path, config: CurateConfig, workers: int | None, reads: Any
) -> tuple[list[Row], Parts, list[str]]:
    """Rows with captions, flags and tags of the clips that are kept, and thresholds on these."""
    kept = [row for row in rows if row[thresholds.DROPPED_BY] is None]
    small = {name: kind for name, kind in reads.items() if name not in LARGE}
    phase = Phase("captions", "unit", tuple(config.asking), small)
    units = [
        Unit(unit.key, [{name: row.get(name) for name in small} for row in unit.rows])
        for unit in portions(kept, config.run.unit_clips)
    ]
    try:
        parts = engine.run(phase, units, out, workers)
    except ServerGone as error:
        raise ValueError(str(error)) from error
    keys = [unit.key for unit in units]
    added = {name for stage in config.asking for name in stage.WRITES}
    answers = {row["clip"]: {name: row.get(name) for name in added} for row in parts.read(keys)}
    made = [{**row, **answers.get(row.get("clip") or "", dict.fromkeys(added))} for row in rows]
    later = thresholds.decide(made, config.thresholds)
    made = [
        {**row, thresholds.DROPPED_BY: row[thresholds.DROPPED_BY] or again[thresholds.DROPPED_BY]}
        for row, again in zip(made, later, strict=True)
    ]
    return made, parts, keys


def _finish(
    videos: Sequence[Row],
    rows: Sequence[Row],
    out: Path,
    config: CurateConfig,
    seconds: Mapping[str, float],
    types: Mapping[str, str],
) -> Curated:
    """Writes the tables and lists."""
    columns = column_types(
        types, *(each.WRITES for each in (thresholds, similar_videos, duplicates, balance, best))
    )
    small = {name: kind for name, kind in columns.items() if name not in LARGE}
    clips = [row for row in rows if row.get("clip") is not None]
    write_table(out / CLIPS, clips, small)
    probed = column_types(listing.COLUMNS, config.probe.WRITES, {PROBLEM: "string"})
    by_video = _by_video(videos, rows, probed)
    write_table(out / VIDEOS, by_video, probed)
    kept = [row for row in clips if row[thresholds.DROPPED_BY] is None]
    for name, chosen in ((CAPTIONS, kept), (BEST, [row for row in kept if row["best"]])):
        listed = [_listed(row, out, config) for row in chosen]
        write_whole(out / name, csv_bytes(listed, LISTED))
    return Curated(by_video, clips, seconds)


def _write_settings(
    out: Path, raw: Path, config: CurateConfig, seconds: Mapping[str, float]
) -> None:
    told = {"raw": str(resolved(raw)), "config": told_config(config), "seconds": seconds}
    write_whole(out / SETTINGS, (json.dumps(told, indent=2) + "\n").encode())


def _by_video(videos: Sequence[Row], rows: Sequence[Row], columns: Mapping[str, str]) -> list[Row]:
    """Rows of the videos, with the problem of those that gave no clip."""
    told = {row["video"]: row for row in rows}
    made = []
    for video in videos:
        row = {name: told[video["video"]].get(name) for name in columns}
        if told[video["video"]].get("clip") is not None:
            row[PROBLEM] = None  # it is one of a clip
        made.append(row)
    return made


def told_config(config: CurateConfig) -> dict[str, Any]:
    """The config as plain values."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def _listed(row: Row, out: Path, config: CurateConfig) -> dict[str, str]:
    """Row of a list of captions."""
    crop = _crop(row, config.run.crop)
    return {
        "path": os.path.relpath(row["path"], out),
        "caption": row.get("caption") or row.get("video_caption") or "",
        "id": row["clip"],
        START: repr(row["start_s"]),
        END: repr(row["end_s"]),
        CROP: " ".join(map(str, crop)) if crop else "",
    }


def _crop(row: Row, kinds: Sequence[str]) -> list[int] | None:
    """Left, top, right and bottom that a clip is cropped to; None for all of it."""
    box: list[int] = list(row.get("content_box") or ()) if "borders" in kinds else []
    top = row.get("subtitle_top_px") if "subtitles" in kinds else None
    if top is not None:
        box = box or [0, 0, row["width_px"], row["height_px"]]
        box[3] = min(box[3], top // 2 * 2)
    return box or None
