# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import json
import xml.etree.ElementTree as ET

import pytest

from tools import plot_scaling


def report(chips, samples, step_s, fits=True, step="train"):
    return {
        "step": step,
        "topology": f"v5p:{chips}",
        "chips": chips,
        "mesh": {"data": chips},
        "samples": samples,
        "memory": {"fits": fits},
        "estimate": {
            "step_s": step_s,
            "step_least_s": step_s - 0.25,
            "mfu": 0.3,
            "mfu_most": 0.31,
            "samples_per_second": samples / step_s,
        },
    }


WEAK = [report(64, 16, 10.0), report(512, 128, 10.5), report(256, 64, 10.2)]


def test_efficiency_is_throughput_per_chip_against_the_smallest_slice():
    found = plot_scaling.series(WEAK)
    assert list(found) == ["weak"]
    assert [each["chips"] for each in found["weak"]] == [64, 256, 512]
    assert plot_scaling.efficiency(found["weak"]) == pytest.approx([1, 10 / 10.2, 10 / 10.5])


def test_strong_scaling_keeps_the_batch():
    found = plot_scaling.series([*WEAK, report(512, 16, 2.0)])
    assert plot_scaling.efficiency(found["strong"]) == pytest.approx([1, 10 / 2 / 8])


def test_the_fastest_mesh_of_a_slice_counts_and_only_where_it_fits():
    slower = report(512, 128, 12.0)
    impossible = report(512, 128, 1.0, fits=False)
    sampler = report(512, 128, 1.0, step="sampler")
    found = plot_scaling.series([*WEAK, slower, impossible, sampler])
    assert plot_scaling.efficiency(found["weak"])[-1] == pytest.approx(10 / 10.5)


def test_the_picture_has_a_point_for_every_slice(tmp_path, capsys):
    paths = []
    for i, each in enumerate([*WEAK, report(512, 16, 2.0)]):
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(json.dumps(each if i else [each]))
    picture = tmp_path / "curve.svg"
    assert plot_scaling.main([*map(str, paths), "--svg", str(picture)]) == 0
    tags = [element.tag.rpartition("}")[2] for element in ET.parse(picture).iter()]
    assert tags.count("circle") == 3 + 2
    assert (
        "| weak | v5p:512 | 512 | data=512 | 128 | 10.25 to 10.50 s | 30.0 to 31.0% | 95.2% |"
        in (capsys.readouterr().out)
    )


def test_nothing_to_compare_is_said(tmp_path, capsys):
    path = tmp_path / "one.json"
    path.write_text(json.dumps(WEAK[0]))
    with pytest.raises(SystemExit):
        plot_scaling.main([str(path)])
    assert "no two training steps" in capsys.readouterr().err
