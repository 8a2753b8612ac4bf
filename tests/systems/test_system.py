# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import pkgutil
import typing

import pytest

import mugv_jax
from mugv_jax import systems
from mugv_jax.systems import text_request
from mugv_jax.systems.contentv import request as contentv
from mugv_jax.systems.enhancer import request as enhancer
from mugv_jax.systems.mugv import request as mugv
from mugv_jax.systems.system import every, find, system_of
from mugv_jax.systems.wan import request as wan
from mugv_jax.weights.registry import MODELS
from tests.systems.contentv.folders import SMALL

EVERY = pytest.mark.parametrize("system", every(), ids=systems.NAMES)


def test_every_package_of_a_system_is_registered():
    packages = {module.name for module in pkgutil.iter_modules(systems.__path__) if module.ispkg}
    assert packages == set(systems.NAMES)
    assert [system.name for system in every()] == list(systems.NAMES)


@EVERY
def test_a_descriptor_says_something_of_every_model(system):
    fields = {field.name for field in dataclasses.fields(system.config)}
    kinds, optional = system.config.KINDS, system.config.OPTIONAL
    assert fields == {*kinds, *optional} == set(system.titles) == set(system.files)
    assert set(system.groups) == set(kinds) == fields - set(optional)
    assert {task.field for task in system.costs.tasks} == fields
    assert set(system.elsewhere) | set(system.costs.together) <= fields
    hints = typing.get_type_hints(system.config)
    for field, accepted in kinds.items():
        (group,) = {MODELS[kind].config_class for kind in accepted}
        assert system.groups[field] is group
        assert group in (hints[field], *typing.get_args(hints[field]))


@EVERY
def test_the_public_pipeline_of_a_system_follows_from_its_name(system):
    pipeline = getattr(mugv_jax, f"{system.name.capitalize()}Pipeline")
    assert pipeline.__module__ == f"mugv_jax.systems.{system.name}.pipeline"
    assert {"from_pretrained", "random"} <= set(dir(pipeline))
    assert f"{system.name.capitalize()}Pipeline" in dir(mugv_jax)


def test_a_system_is_found_by_its_name_and_by_its_sizes():
    assert system_of(SMALL) is find("contentv")
    with pytest.raises(
        ValueError, match="system 'sora' must be one of mugv, enhancer, contentv, wan"
    ):
        find("sora")


@EVERY
def test_every_named_size_lies_on_the_grid_of_its_system(system):
    for name, (width, height) in system.sizes.items():
        for length in system.lengths:
            size = system.parse(name, length)
            assert (size.width_px, size.height_px) == (width, height)
            assert size.latent_shape[1:] == (
                height // system.size.SPATIAL,
                width // system.size.SPATIAL,
            )
    assert {"landscape", "portrait"} <= set(system.sizes)  # defaults of commands
    assert "5s" in system.lengths


@pytest.mark.parametrize(
    ("name", "size", "frames", "latent"),
    [
        ("mugv", "landscape", "5s", (14, 90, 160)),
        ("enhancer", "1280x720", "105", (27, 90, 160)),
        ("contentv", "16:9", "125", (32, 54, 96)),
        ("contentv", "portrait", "5s", (32, 96, 54)),
        ("contentv", "768x432", "1", (1, 54, 96)),
        ("wan", "landscape", "5s", (21, 60, 104)),
    ],
)
def test_sizes_are_read_as_users_write_them(name, size, frames, latent):
    assert find(name).parse(size, frames).latent_shape == latent


@pytest.mark.parametrize(
    ("name", "size", "frames", "message"),
    [
        ("contentv", "16:9", "124", r"frames=124 must be 4k\+1"),
        ("contentv", "770x432", "5s", "width=770 must be a positive multiple of 16"),
        ("enhancer", "16:9", "5s", "must be WIDTHxHEIGHT"),
        ("enhancer", "landscape", "long", r"must be a whole number of the form 4k\+1, or one of"),
    ],
)
def test_what_is_no_size_is_refused(name, size, frames, message):
    with pytest.raises(ValueError, match=message):
        find(name).parse(size, frames)


@pytest.mark.parametrize(
    ("options", "request_class", "beside"),
    [
        (mugv.RequestOptions, mugv.Request, {"frames"}),
        (text_request.GenerateOptions, contentv.ContentvRequest, {"frames"}),
        (text_request.GenerateOptions, wan.WanRequest, {"frames"}),
        (enhancer.EnhanceOptions, enhancer.EnhanceRequest, set()),
    ],
)
def test_options_of_a_pipeline_are_the_fields_of_its_request(options, request_class, beside):
    fields = {field.name for field in dataclasses.fields(request_class)} - {"prompts"}
    assert options.__optional_keys__ == fields | beside
