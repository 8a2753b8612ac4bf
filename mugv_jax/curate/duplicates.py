# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Duplicates among clips: exact, re-encoded and near ones, in groups of which one clip is kept.

    candidates   nearest neighbours of every clip by faiss: CLIP's embeddings if they are there, and
                 the mean pictures of signatures, upright and mirrored
    similarity   of two clips: mean over the pictures of one of its best correlation with a picture
                 of the other, for the best of some crops of the other
    near         similarity of at least `near`, and keypoints that agree (`stages.keypoints`); of
                 at least `sure` without
    groups       clips that are connected by such pairs

A copy may be shorter, faster, brighter, cropped, bordered or written on; in these cases single
pixels differ, and layouts do not. MUG-V 2.1 and ContentV 3 compare CLIP's embeddings of clips.
"""

import collections
import dataclasses
import functools
import itertools
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import einops
import numpy as np

from mugv_jax.axes import Float, Frames
from mugv_jax.bounds import require_at_least
from mugv_jax.curate.packages import needed
from mugv_jax.curate.stage import Row
from mugv_jax.curate.stages.keypoints import agreeing
from mugv_jax.curate.stages.signature import SIDE_PX, pictures_of
from mugv_jax.progress import over

EXACT, REENCODED, NEAR = "exact", "reencoded", "near"
WRITES = {
    "group": "string",
    "duplicate_of": "string",
    "duplicate_kind": "string",
    "similarity": "float64",
}
COARSE_PX = 8  # side of the mean pictures that candidates are found by
CROPS = (1.0, 0.96, 0.92, 0.88, 0.84)  # sides of the crops that are compared, of the whole
COARSE_SIGMA, COARSE_LESS = 3.0, 0.8  # pixels of a blur, and the share of it that is taken away
ALIKE = 0.6  # smallest correlation of the mean pictures of candidates
WORTH = 0.3  # smallest similarity, without crops, of clips whose crops are compared
REMEMBERED = 256  # clips whose crops are held in memory, 2.5 MB each
SAME_LENGTH = 0.05  # of a re-encoded copy, against its original


@dataclasses.dataclass(frozen=True, kw_only=True)
class DuplicateConfig:
    """Which clips are duplicates of each other.

    near: smallest similarity of a near duplicate, -1 to 1.
    keypoints: fewest keypoints that agree in a near duplicate. Pictures with one layout, such as
        discs on a plain ground, are alike without showing the same.
    sure: similarity from which keypoints are not asked for. Clips without keypoints, as those of a
        run that does not measure them, are not asked either.
    same: smallest similarity of a re-encoded copy, without a crop.
    embedding: smallest cosine of CLIP's embeddings of two near duplicates.
    neighbours: clips that each clip is compared with.
    mirrored: compare mirrored clips too.
    """

    near: float = 0.82
    sure: float = 0.94
    keypoints: int = 10
    same: float = 0.95
    embedding: float = 0.95
    neighbours: int = 12
    mirrored: bool = True

    def __post_init__(self):
        require_at_least(1, self, "neighbours", "keypoints")
        for name in ("near", "sure", "same", "embedding"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} must lie above 0 and up to 1.")


# Keypoints of clips (`stages.keypoints`) by name, of those that have them.
KeypointReader = Callable[[Collection[str]], Mapping[str, bytes]]


def mark_duplicates(
    rows: Sequence[Row], config: DuplicateConfig, keypoints: KeypointReader | None = None
) -> list[Row]:
    """Rows with the columns of WRITES; `duplicate_of` names the clip of the group that is kept.

    keypoints: is asked once for the clips whose similarity alone does not decide.

    Rows without a signature are in no group. Which clip is kept: one that no threshold has dropped
    (`dropped_by`), then the one with most pixels, the sharpest, the longest, the first by name.
    """
    none = dict.fromkeys(WRITES)
    clips = [row for row in rows if row.get("signature") is not None]
    if len(clips) < 2:
        return [{**row, **none} for row in rows]
    pairs = {(a, b): (similarity, kind) for a, b, similarity, kind in _pairs(clips, config)}
    for pair in _refuted(clips, pairs, config, keypoints):
        del pairs[pair]
    made: dict[str, Row] = {}
    for members in _connected(len(clips), pairs):
        kept = min(members, key=lambda i: _preference(clips[i]))
        for each in members:
            # Two members may be connected by others only.
            similarity, kind = pairs.get((min(each, kept), max(each, kept)), (None, NEAR))
            copy = each != kept
            made[clips[each]["clip"]] = {
                "group": clips[kept]["clip"],
                "duplicate_of": clips[kept]["clip"] if copy else None,
                "duplicate_kind": kind if copy else None,
                "similarity": similarity if copy else None,
            }
    return [{**row, **made.get(row.get("clip") or "", none)} for row in rows]


def _preference(row: Row) -> tuple:
    """Smaller is better."""
    return (
        row.get("dropped_by") is not None,
        -row["width_px"] * row["height_px"],
        -(row.get("sharpness") or 0.0),
        -row["frames"],
        row["clip"],
    )


def _pairs(clips: Sequence[Row], config: DuplicateConfig) -> Iterator[tuple[int, int, float, str]]:
    """(a, b, similarity, kind) of duplicates with a < b."""
    pictures = [pictures_of(row["signature"]) for row in clips]

    @functools.lru_cache(16 * REMEMBERED)
    def whole_of(number: int, mirrored: bool = False) -> np.ndarray:
        shown = pictures[number][:, :, ::-1] if mirrored else pictures[number]
        return _vectors(shown, 1.0)

    @functools.lru_cache(REMEMBERED)
    def crops(number: int, mirrored: bool = False) -> np.ndarray:
        shown = pictures[number][:, :, ::-1] if mirrored else pictures[number]
        return np.concatenate([_vectors(shown, crop) for crop in CROPS])

    candidates = _candidates(clips, pictures, config)
    for a, b in over(candidates, "duplicates", total=len(candidates), unit="pair"):
        first, second = clips[a], clips[b]
        if first["digest"] == second["digest"] and first["start_s"] == second["start_s"]:
            yield a, b, 1.0, EXACT
            continue
        whole = cropped = _matched(whole_of(a), whole_of(b))
        if whole >= WORTH:
            cropped = similarity(crops(a), crops(b))
        if config.mirrored and _matched(whole_of(a), whole_of(b, mirrored=True)) >= WORTH:
            cropped = max(cropped, similarity(crops(a), crops(b, mirrored=True)))
        length = first["frames"] / first["fps"], second["frames"] / second["fps"]
        if whole >= config.same and abs(length[0] - length[1]) <= SAME_LENGTH * max(length):
            yield a, b, whole, REENCODED
        elif cropped >= config.near or _cosine(first, second) >= config.embedding:
            yield a, b, max(cropped, _cosine(first, second)), NEAR


def _refuted(
    clips: Sequence[Row],
    pairs: Mapping[tuple[int, int], tuple[float, str]],
    config: DuplicateConfig,
    keypoints: KeypointReader | None,
) -> list[tuple[int, int]]:
    """Pairs of near duplicates that are not surely alike, and whose keypoints do not agree."""
    unsure = [
        (a, b)
        for (a, b), (similarity, kind) in pairs.items()
        if kind == NEAR
        and similarity < config.sure
        and _cosine(clips[a], clips[b]) < config.embedding
    ]
    if keypoints is None or not unsure:
        return []
    names = [row["clip"] for row in clips]
    known = keypoints({names[each] for pair in unsure for each in pair})
    return [
        (a, b)
        for a, b in over(unsure, "keypoints", total=len(unsure), unit="pair")
        if {names[a], names[b]} <= known.keys()
        and agreeing(known[names[a]], known[names[b]]) < config.keypoints
    ]


def _cosine(a: Row, b: Row) -> float:
    """Cosine of two embeddings; -1 if one is missing."""
    found = [row.get("embedding") for row in (a, b)]
    if None in found:
        return -1.0
    x, y = (np.frombuffer(each or b"", np.float16).astype(np.float32) for each in found)
    return float(x @ y)


def similarity(a: Float[np.ndarray, "p k d"], b: Float[np.ndarray, "q l d"]) -> float:
    """Similarity of two clips, -1 to 1: a crop of either with the whole of the other.

    a, b: vectors of all crops of all pictures; the first crop is the whole picture.
    """
    return max(_matched(a, b[:1]), _matched(b, a[:1]))


def _matched(crops: Float[np.ndarray, "p k d"], whole: Float[np.ndarray, "1 k d"]) -> float:
    """Mean over the pictures of `whole` of the best match in a crop; the best crop's."""
    scores = np.einsum("pkd,ld->plk", crops, whole[0])
    return float(scores.max(-1).mean(-1).max())


def _vectors(pictures: Frames, crop: float) -> Float[np.ndarray, "p k d"]:
    """Unit vectors of pictures without the mean of each colour, for every place of a crop.

    All pictures are scaled and blurred together, as channels of one.
    """
    cv2 = needed("cv2")
    count = len(pictures)
    stacked = einops.rearrange(pictures, "k h w c -> h w (k c)").astype(np.float32)
    side = round(SIDE_PX * crop)
    rest = SIDE_PX - side
    places = sorted({0, rest // 2, rest})
    made = []
    for top, left in itertools.product(places, places):
        part = np.ascontiguousarray(stacked[top : top + side, left : left + side])
        x = part if side == SIDE_PX else cv2.resize(part, (SIDE_PX, SIDE_PX))
        # With less of the coarse layout, which different pictures may share.
        x = x - COARSE_LESS * cv2.GaussianBlur(x, (0, 0), COARSE_SIGMA)
        made.append(_unit(einops.rearrange(x, "h w (k c) -> k h w c", k=count)))
    return np.stack(made)


def _unit(pictures: np.ndarray) -> Float[np.ndarray, "k d"]:
    """Pictures (k h w 3) as vectors of length 1 without the mean of each colour.

    A change of brightness, and mostly one of colours, leaves them as they are. A picture of one
    colour becomes zeros.
    """
    x = pictures.astype(np.float32)
    x = (x - x.mean((1, 2), keepdims=True)).reshape(len(x), -1)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


def _candidates(
    clips: Sequence[Row], pictures: Sequence[Frames], config: DuplicateConfig
) -> list[tuple[int, int]]:
    """Pairs of clips with a < b that may be duplicates, sorted."""
    found: set[tuple[int, int]] = set()
    by_digest: dict[tuple, list[int]] = collections.defaultdict(list)
    for number, row in enumerate(clips):
        by_digest[row["digest"], row["start_s"]].append(number)
    for same in by_digest.values():
        found.update(itertools.pairwise(same))
    coarse = np.zeros((len(clips), COARSE_PX, COARSE_PX, 3))
    for number, each in enumerate(pictures):
        coarse[number] = _coarse(each)
    index = _unit(coarse)
    queries = [index]
    if config.mirrored:
        queries.append(_unit(coarse[:, :, ::-1]))
    for query in queries:
        found |= _nearest(index, query, config.neighbours)
    if clips and all(row.get("embedding") is not None for row in clips):
        embeddings = np.stack([np.frombuffer(row["embedding"], np.float16) for row in clips])
        embeddings = embeddings.astype(np.float32)
        found |= _nearest(embeddings, embeddings, config.neighbours)
    return sorted(found)


def _coarse(pictures: Frames) -> np.ndarray:
    """Mean picture (8 8 3) of a signature."""
    cv2 = needed("cv2")
    return cv2.resize(pictures.mean(0), (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA)


def _nearest(
    index: Float[np.ndarray, "n d"], query: Float[np.ndarray, "n d"], count: int
) -> set[tuple[int, int]]:
    """Pairs (a, b) with a < b in which one is among the `count` nearest of the other."""
    if not len(index):
        return set()
    logging.getLogger("faiss.loader").setLevel(logging.WARNING)
    faiss = needed("faiss")
    flat = faiss.IndexFlatIP(index.shape[1])
    flat.add(np.ascontiguousarray(index))
    scores, near = flat.search(np.ascontiguousarray(query), min(count + 1, len(index)))
    return {
        (min(a, int(b)), max(a, int(b)))
        for a, (row, found) in enumerate(zip(near, scores, strict=True))
        for b, score in zip(row, found, strict=True)
        if a != b and score >= ALIKE
    }


def _connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Groups of two or more numbers below `count` that pairs connect, each sorted."""
    import scipy.sparse

    edges = np.array(sorted(set(pairs)), np.int64).reshape(-1, 2)
    graph = scipy.sparse.coo_array(
        (np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count)
    )
    _, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    groups: dict[int, list[int]] = collections.defaultdict(list)
    for number, label in enumerate(labels):
        groups[label].append(number)
    return [members for members in groups.values() if len(members) > 1]
