# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
"""Launch files parse, name existing flags, and pass the command on unchanged."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mugv_jax import cli

LAUNCH = Path(__file__).parents[2] / "tools" / "launch"
SCRIPTS = ("slurm.sh", "tpu_vm.sh")
RECORD = """#!{python}
import json, os, sys
with open({out!r}, "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
"""


def text(name):
    return (LAUNCH / name).read_text()


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Commands that record their arguments; returns a function that reads the record."""
    out, folder = tmp_path / "calls.jsonl", tmp_path / "bin"
    folder.mkdir()
    out.touch()
    for name in ("srun", "scontrol", "mugv-jax"):
        (folder / name).write_text(RECORD.format(python=sys.executable, out=str(out)))
        (folder / name).chmod(0o755)
    gcloud = folder / "gcloud"  # runs the command in the given folder
    gcloud.write_text('#!/bin/bash\nfor each; do :; done\nbash -c "${each#--command=}"\n')
    gcloud.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return lambda: [json.loads(line) for line in out.read_text().splitlines()]


def bash(script, *arguments, **environment):
    return subprocess.run(
        ["bash", "-c", script, *arguments],
        env=os.environ | environment, capture_output=True, text=True,
    )  # fmt: skip


def parses(arguments):
    """The command line takes these arguments."""
    arguments = [each for each in arguments if not each.startswith("--config.")]
    parser = cli._parser(arguments[0])
    return parser.parse_args(arguments)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_parse_and_have_two_lines_to_edit(name):
    subprocess.run(["bash", "-n", LAUNCH / name], check=True)
    assert os.access(LAUNCH / name, os.X_OK)
    assert len(re.findall(r"# EDIT$", text(name), re.MULTILINE)) == 2


def test_slurm_starts_the_command_and_asks_to_be_started_again(calls, tmp_path):
    run = tmp_path / "run"
    script = text("slurm.sh").replace("/shared/runs/stage3", str(run))
    assert bash(script, SLURM_JOB_ID="17").returncode == 0
    srun, requeue = calls()
    command = srun[srun.index("mugv-jax") + 1 :]
    args = parses(command)
    assert (args.output, args.distributed) == (run, True)
    assert Path(args.config).is_file()
    assert requeue == ["scontrol", "requeue", "17"]
    (run / "checkpoints" / "187500").mkdir(parents=True)
    bash(script, SLURM_JOB_ID="17")
    assert [call[0] for call in calls()] == ["srun", "scontrol", "srun"]


def test_a_tpu_slice_gets_the_command_as_it_was_written(calls, tmp_path):
    (tmp_path / "mugv_jax").mkdir()
    script = text("tpu_vm.sh").replace("/shared/runs/first", str(tmp_path / "run"))
    given = ["train", "--config", "a b.py", "--config.data.paths=('/shared/s',)"]
    done = bash(script, "tpu_vm.sh", *given)
    assert done.returncode == 0, done.stderr
    [[_, *command]] = calls()
    assert command == [*given, "--output", str(tmp_path / "run"), "--distributed"]
    assert parses(command).distributed


def container():
    [job] = yaml.safe_load(text("gke.yaml"))["spec"]["replicatedJobs"]
    return job["template"]["spec"], job["template"]["spec"]["template"]["spec"]["containers"][0]


def test_kubernetes_starts_a_process_for_each_node(calls, tmp_path):
    spec, found = container()
    assert spec["completions"] == spec["parallelism"]
    assert spec["completionMode"] == "Indexed"
    script, _, *command = found["args"]
    run = tmp_path / "run"
    last = next(each["value"] for each in found["env"] if each["name"] == "LAST")
    arguments = (str(run), *command)
    unfinished = bash(script, *arguments, JOB_COMPLETION_INDEX="3", LAST=last)
    assert unfinished.returncode == 1, "a pod that is not at the end must not count as complete"
    [[_, *called]] = calls()
    args = parses(called)
    assert (args.output, args.process, args.processes) == (run, 3, spec["completions"])
    name = yaml.safe_load(text("gke.yaml"))["metadata"]["name"]
    assert args.coordinator.startswith(f"{name}-nodes-0-0.{name}:")
    (run / "checkpoints" / last).mkdir(parents=True)
    assert bash(script, *arguments, JOB_COMPLETION_INDEX="3", LAST=last).returncode == 0


def test_a_pod_passes_sigterm_on(calls, tmp_path):
    waiting = tmp_path / "bin" / "mugv-jax"
    waiting.write_text(
        # Its parent must know its number before it asks; `sleep` must not hold the pipe open.
        '#!/bin/bash\ntrap "echo saved; exit 0" TERM\nsleep 0.3\nkill -TERM $PPID\n'
        "sleep 9 >/dev/null 2>&1 & wait\n"
    )
    script, *_ = container()[1]["args"]
    (tmp_path / "run" / "checkpoints" / "5").mkdir(parents=True)
    done = bash(script, str(tmp_path / "run"), JOB_COMPLETION_INDEX="0", LAST="5")
    assert (done.returncode, done.stdout) == (0, "saved\n")
    assert not calls()


def gpu_flags(name):
    return re.findall(r"--xla_gpu_[a-z_]+=\w+", text(name))


def test_gpu_flags_exist():
    """XLA ends the process at an unknown flag."""
    flags = gpu_flags("slurm.sh")
    assert "--xla_gpu_enable_latency_hiding_scheduler=true" in flags
    assert flags == gpu_flags("gke.yaml")
    environment = os.environ | {"XLA_FLAGS": " ".join(flags), "JAX_PLATFORMS": "cpu"}
    started = subprocess.run(
        [sys.executable, "-c", "import jax; jax.devices()"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
