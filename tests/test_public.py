# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Files that a public host reads: the workflow, the citation, the package's metadata."""

import ast
import itertools
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Imported names of packages whose distribution has another name, or that come with one.
PROVIDED = {"jaxlib": "jax", "google": "array-record"}


def normal(name):
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!;~ ]", name)[0]).lower()


def test_the_workflow_runs_what_the_script_runs():
    script = re.findall(r"^make (.*)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == "make ${{ matrix.target }}"
    assert job["strategy"]["matrix"]["target"] == script
    made = (ROOT / "CONTRIBUTING.md").read_text()
    assert re.findall(r"^make ([\w-]+)", made, re.MULTILINE) == script
    for target in script:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_citation_names_this_version_and_no_one_who_is_not_an_author():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["authors"] == PROJECT["authors"] == [{"name": "The mugv_jax Authors"}]
    assert citation["license"] == PROJECT["license"]


def test_the_versions_of_python_are_those_of_the_classifiers():
    label = "Programming Language :: Python :: 3."
    minors = [int(c.removeprefix(label)) for c in PROJECT["classifiers"] if c.startswith(label)]
    assert minors == list(range(11, 14))
    assert PROJECT["requires-python"] == f">=3.{minors[0]}"
    assert sys.version_info[1] in minors


def test_every_import_of_the_package_is_declared():
    imported = set()
    for path in (ROOT / "mugv_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    imported -= {*sys.stdlib_module_names, "mugv_jax"}
    extras = PROJECT["optional-dependencies"]
    lists = [PROJECT["dependencies"], *(extras[name] for name in extras if name != "test")]
    declared = {normal(each) for each in itertools.chain(*lists)}
    found = packages_distributions()
    missing = [
        name
        for name in sorted(imported)
        if not {PROVIDED.get(name, name), *map(normal, found.get(name, [name]))} & declared
    ]
    assert not missing
