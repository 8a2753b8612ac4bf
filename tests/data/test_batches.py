# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import multiprocessing
import re
import signal
from multiprocessing import resource_tracker
from pathlib import Path

import grain
import numpy as np
import pytest

from mugv_jax.data import open as opening
from mugv_jax.data.batches import make_batches, make_validation, starting_workers
from mugv_jax.data.data_config import DataConfig
from mugv_jax.data.fields import LatentField, NumberField, crop, flow_fields
from mugv_jax.data.holdout import split_holdout
from mugv_jax.data.open import JoinedSamples
from tests.data.sources import FLOW, TOKENS, MemorySource, source_of

SHAPES = ((1, 4, 4),) * 7 + ((2, 4, 4),) * 12 + ((3, 4, 6),) * 5
STEPS = 12


def config_of(**fields):
    return DataConfig(**{"tokens_per_shard": 20, "text_tokens": 3, "max_bad": 2, **fields})


def batches_of(
    source=None, *, local=range(2), seed=0, total_steps=STEPS, shards=2, accumulation=1, **fields
):
    source = source_of(*SHAPES) if source is None else source
    run = {"shards": shards, "local": local, "total_steps": total_steps, "seed": seed}
    run["accumulation"] = accumulation
    return make_batches(source, config_of(**fields), tokens=TOKENS, **run)


def validation_of(source, *, like, shards=2, local=range(2), config):
    return make_validation(source, config, like=like, shards=shards, local=local, tokens=TOKENS)


def same(one, other):
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_a_batch_holds_what_its_samples_hold():
    batches = batches_of(source_of(*SHAPES, (2, 5, 6)), shapes=tuple(set(SHAPES)))
    for step, batch in enumerate(batches):
        rows, (f, h, w) = len(batch["sample"]), batch["latent"].shape[1:4]
        assert {name: (array.dtype.name, array.shape) for name, array in batch.items()} == {
            "latent": ("float32", (rows, f, h, w, 4)),
            "text": ("float32", (rows, 3, 2)),
            "text_mask": ("bool", (rows, 3)),
            "fps": ("float32", (rows,)),
            "sample": ("int32", (rows,)),
        }
        assert batch["sample"].tolist() == batches.schedule[step].samples.tolist()
        assert (batch["latent"][..., 0] == batch["sample"][:, None, None, None]).all()
        for row, index in enumerate(batch["sample"].tolist()):
            tokens = min(3, 1 + index % 5)
            assert batch["text_mask"][row].tolist() == [True] * tokens + [False] * (3 - tokens)
            assert (batch["text"][row] == (index + 1) * batch["text_mask"][row][:, None]).all()
            assert batch["fps"][row] == 24 + index % 2
    assert step == STEPS - 1
    assert next(batches, None) is None


def test_further_latents_and_numbers_are_stacked_like_the_first():
    fields = (*FLOW, LatentField("lose", channels=4), NumberField("label"))
    pairs, singles = (
        batches_of(source_of(*SHAPES, (2, 5, 6), fields=each), shapes=tuple(set(SHAPES)))
        for each in (fields, FLOW)
    )
    for batch, plain in zip(pairs, singles, strict=True):
        assert (batch["lose"][..., 0] == batch["latent"][..., 0] + 1000).all()
        assert (batch["lose"][..., 1:] == batch["latent"][..., 1:]).all()
        assert batch["label"].tolist() == batch["fps"].tolist()
        assert same({name: batch[name] for name in plain}, plain)


def test_crops_begin_with_the_first_frame_and_keep_the_middle():
    latent = source_of((6, 9, 8))[0]["latent"]
    places = crop(latent, (4, 4, 6))[..., 1:]
    assert places[0, 0, 0].tolist() == [0, 2, 1]
    assert places[-1, -1, -1].tolist() == [3, 5, 6]


def samples_of(batches):
    return [sorted(batches.schedule[step].samples.tolist()) for step in range(STEPS)]


def test_a_stated_batch_is_the_same_on_any_number_of_devices():
    one = batches_of(shards=1, local=[0], batch=4, tokens_per_shard=80)
    four = batches_of(shards=4, local=range(4), batch=4, tokens_per_shard=20)
    halves = batches_of(shards=2, batch=4, accumulation=2, tokens_per_shard=20)
    assert samples_of(one) == samples_of(four) == samples_of(halves)
    assert {len(samples) for samples in samples_of(one)} == {4}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"batch": 5}, "data.batch=5 must be a whole multiple of 2: 2 data shards of 1"),
        ({"batch": 2, "accumulation": 2}, "data.batch=2 must be a whole multiple of 4"),
        ({"batch": 40}, "data.batch=40 puts 20 samples of latent shape"),
    ],
)
def test_a_batch_that_cannot_be_split_is_refused(fields, says):
    with pytest.raises(ValueError, match=says):
        batches_of(**fields)


@pytest.mark.parametrize("reading", [{"threads": 3, "prefetch": 5}, {"threads": 0, "prefetch": 0}])
def test_a_resumed_run_sees_the_same_batches(reading):
    whole = list(batches_of())
    for done in (0, 1, 7, STEPS):
        first = batches_of(**reading)
        for step in range(done):
            assert same(next(first), whole[step])
        state = json.loads(json.dumps(first.get_state()))
        first.close()
        resumed = batches_of(**reading)
        next(resumed)  # it has already started
        resumed.set_state(state)
        rest = list(resumed)
        assert len(rest) == STEPS - done
        assert all(map(same, rest, whole[done:]))
        resumed.close()


def test_batches_can_be_read_in_any_order():
    batches = batches_of()
    at_random = {step: batches.steps[step] for step in (7, 2, 11)}
    whole = list(batches)
    assert all(same(batch, whole[step]) for step, batch in at_random.items())


def test_processes_together_read_the_global_batch():
    whole = batches_of(shards=4, local=range(4))
    parts = [batches_of(shards=4, local=local) for local in (range(1), range(1, 4))]
    for batch, *pieces in zip(whole, *parts):
        joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in batch}
        assert same(joined, batch)


def test_a_process_reads_its_own_rows_only():
    source = source_of(*SHAPES)
    batches = batches_of(source, shards=4, local=range(2, 3), threads=0, prefetch=0)
    turn = batches.schedule[0].local(4, range(2, 3))
    next(batches)
    assert source.reads == turn.samples.tolist()


@pytest.mark.parametrize("threads", [0, 4])
def test_bad_samples_are_replaced_by_the_next_good_ones(threads, caplog):
    broken = frozenset({8, 9})
    good, bad = batches_of(), batches_of(source_of(*SHAPES, broken=broken), threads=threads)
    replaced = 0
    for expected, batch in zip(good, bad):
        stands_in = {8: 10, 9: 10}
        wanted = [stands_in.get(i, i) for i in expected["sample"].tolist()]
        assert batch["sample"].tolist() == wanted
        assert (batch["latent"][..., 0] == batch["sample"][:, None, None, None]).all()
        replaced += len(broken & set(expected["sample"].tolist()))
    assert replaced
    messages = [record.getMessage() for record in caplog.records]
    assert sorted(message.rsplit(": ", 2)[1] for message in messages) == ["sample-8", "sample-9"]


def test_bad_samples_are_read_once():
    source = source_of(*SHAPES, broken=frozenset({8}))
    list(batches_of(source, threads=0, prefetch=0, total_steps=40))
    assert source.reads.count(8) == 1


@pytest.mark.parametrize("threads", [0, 4])
def test_too_many_bad_samples_end_the_run_and_are_listed(threads):
    batches = batches_of(source_of(*SHAPES, broken=frozenset({8, 9, 20})), threads=threads)
    with pytest.raises(ValueError, match=r"3 samples cannot be read.*max_bad=2") as error:
        list(batches)
    assert all(f"sample-{index}: its file is damaged" in str(error.value) for index in (8, 9, 20))
    batches.close()


def test_a_bucket_without_a_good_sample_ends_the_run():
    source = source_of(*SHAPES, broken=frozenset(range(7)))
    with pytest.raises(ValueError, match=r"no sample of latent shape \(1, 4, 4\)"):
        list(batches_of(source, max_bad=20))


def test_resuming_with_other_data_is_said(caplog):
    state = batches_of().get_state()
    for changed in ({"seed": 1}, {"source": source_of(*SHAPES[1:])}, {"shards": 4}):
        caplog.clear()
        batches_of(**changed).set_state(state)
        assert "are not those of the checkpoint" in caplog.text
    caplog.clear()
    batches_of(total_steps=3, local=range(1), threads=1).set_state(state)
    assert not caplog.text


def test_the_state_goes_through_a_checkpoint(tmp_path):
    import orbax.checkpoint as ocp

    batches = batches_of()
    for _ in range(5):
        next(batches)
    with ocp.CheckpointManager(tmp_path) as manager:
        data = grain.checkpoint.CheckpointSave(batches)
        manager.save(5, args=ocp.args.Composite(data=data))
        manager.wait_until_finished()
        expected, resumed = next(batches), batches_of()
        data = grain.checkpoint.CheckpointRestore(resumed)
        manager.restore(5, args=ocp.args.Composite(data=data))
    assert same(next(resumed), expected)
    for each in (batches, resumed):
        each.close()


def test_worker_processes_read_the_same():
    whole = list(batches_of(total_steps=5))
    batches = batches_of(source_of(*SHAPES), total_steps=5, workers=2, threads=1)
    batches.set_state({**batches.get_state(), "next_step": 2})
    try:
        assert all(same(next(batches), whole[step]) for step in range(2, 5))
        workers = multiprocessing.active_children()
        assert len(workers) == 2
        assert all(signal.SIGINT in blocked(each.pid) for each in workers)
    finally:
        batches.close()


def blocked(pid):
    """Signals that are blocked in the main thread of a process."""
    (mask,) = re.findall(r"SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return {number for number in range(1, 32) if int(mask, 16) >> (number - 1) & 1}


def test_worker_processes_start_with_interrupts_blocked(monkeypatch):
    def as_at_its_first_start():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    monkeypatch.setattr(resource_tracker, "ensure_running", as_at_its_first_start)
    with starting_workers():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_validation_sees_every_held_out_sample_once_and_training_none():
    source = source_of(*SHAPES)
    batches = batches_of(source, holdout=0.4, total_steps=40)
    trained = {index for batch in batches for index in batch["sample"].tolist()}
    run = {"like": batches.schedule.buckets, "config": config_of(holdout=0.4)}
    validation = validation_of(source, **run)
    first, again = list(validation), list(validation)
    assert all(map(same, first, again))
    assert len(validation) == len(first)
    counted = [i for b in first for i, w in zip(b["sample"].tolist(), b["weight"]) if w]
    _, held = split_holdout(source.names, config_of(holdout=0.4))
    assert sorted(counted) == held.tolist()
    assert 5 < len(held) < 15
    assert trained == set(range(len(source))) - set(held.tolist())
    parts = [validation_of(source, local=part, **run) for part in (range(1), range(1, 2))]
    joined = [i for pair in zip(*parts) for part in pair for i in part["sample"].tolist()]
    assert joined == [i for batch in first for i in batch["sample"].tolist()]


def test_an_unreadable_sample_does_not_count_in_validation():
    source = source_of(*SHAPES)
    _, held = split_holdout(source.names, config_of(holdout=0.4))
    source.broken = frozenset(held[:1].tolist())
    run = {"like": batches_of(source).schedule.buckets, "shards": 1, "local": range(1)}
    validation = list(validation_of(source, config=config_of(holdout=0.4), **run))
    assert sum(batch["weight"].sum() for batch in validation) == len(held) - 1


def test_held_out_samples_stay_where_they_are_when_data_is_added():
    names = [f"sample-{index}" for index in range(400)]
    config = config_of(holdout=0.1)
    _, few = split_holdout(names[:300], config)
    _, many = split_holdout(names, config)
    assert many[many < 300].tolist() == few.tolist()
    assert len(split_holdout(names, config_of(holdout=0.1, max_holdout=7))[1]) == 7


def test_validation_may_be_on_samples_of_its_own(monkeypatch):
    places = {"first": source_of((2, 4, 4), (2, 4, 4)), "second": source_of((3, 5, 6), (1, 4, 4))}
    monkeypatch.setattr(opening, "open_samples", lambda path, _fields: places[path])
    config = config_of(holdout_paths=("first", "second"))
    batches = batches_of(shards=1, local=range(1), total_steps=9, holdout_paths=("first", "second"))
    assert sum(len(bucket.members) for bucket in batches.schedule.buckets) == len(SHAPES)
    run = {"like": batches.schedule.buckets, "shards": 1, "local": range(1)}
    validation = list(validation_of(source_of(*SHAPES), config=config, **run))
    counted = sorted(i for b in validation for i, w in zip(b["sample"].tolist(), b["weight"]) if w)
    assert counted == [0, 1, 2, 3]
    assert {batch["latent"].shape[1:4] for batch in validation} == set(SHAPES)
    config = config_of(holdout_paths=("first", "second"), max_holdout=3)
    validation = list(validation_of(source_of(*SHAPES), config=config, **run))
    assert sum(batch["weight"].sum() for batch in validation) == 3
    with pytest.raises(ValueError, match=r"data\.paths is empty"):
        opening.open_all((), FLOW)


def test_nothing_held_out_is_an_error():
    source = source_of(*SHAPES)
    with pytest.raises(ValueError, match=r"holdout=0\.0 holds out none of 24"):
        validation_of(source, config=config_of(), like=())


def test_joined_sources_are_one():
    parts = [source_of(*SHAPES[:7]), source_of(*SHAPES[7:19]), source_of(*SHAPES[19:])]
    joined = JoinedSamples(parts)
    assert len(joined) == len(SHAPES)
    assert [tuple(shape) for shape in joined.shapes.tolist()] == list(SHAPES)
    for index, (part, inner) in {0: (0, 0), 6: (0, 6), 7: (1, 0), 18: (1, 11), 23: (2, 4)}.items():
        assert joined[index].name == f"sample-{inner}"
        assert joined[index]["latent"].shape == parts[part][inner]["latent"].shape
    for outside in (-1, 24):
        with pytest.raises(IndexError):
            joined[outside]
    other = MemorySource(parts[1].shapes, flow_fields(channels=4, text_dim=3))
    message = r"text 'text' of width 2.* and .*text 'text' of width 3.*one VAE and one text encoder"
    with pytest.raises(ValueError, match=message):
        JoinedSamples([parts[0], other])
