#!/bin/bash
# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
#
# Trains on GPU nodes under SLURM:
#
#   sbatch --nodes=64 tools/launch/slurm.sh
#
# Edit the two lines marked EDIT. A restarted job resumes its run; a job whose time is up before
# checkpoint LAST exists requeues itself. The environment with mugv_jax, the samples and RUN must be
# on a file system that all nodes see.
#
# One process per node holds all of its GPUs. One process per GPU works as well (drop
# JAX_LOCAL_DEVICE_IDS, set --ntasks-per-node=8), but processes that share a data shard each read
# its samples: with sequence=8 inside a node they would be read eight times.

#SBATCH --job-name=mugv
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=96
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

RUN=/shared/runs/stage3 LAST=/shared/runs/stage3/checkpoints/187500  # EDIT
COMMAND=(mugv-jax train --config configs/stages/stage3.py)           # EDIT

# By default JAX takes one GPU per SLURM task.
export JAX_LOCAL_DEVICE_IDS=0,1,2,3,4,5,6,7
export JAX_COMPILATION_CACHE_DIR="$RUN/compiled"
export XLA_PYTHON_CLIENT_MEM_FRACTION=0.92
# Overlap weight and gradient exchanges with arithmetic, in pieces large enough for the network.
export XLA_FLAGS="--xla_gpu_enable_latency_hiding_scheduler=true \
--xla_gpu_enable_pipelined_all_gather=true \
--xla_gpu_enable_pipelined_reduce_scatter=true \
--xla_gpu_all_gather_combine_threshold_bytes=268435456 \
--xla_gpu_reduce_scatter_combine_threshold_bytes=268435456 \
--xla_gpu_all_reduce_combine_threshold_bytes=268435456"

mkdir -p "$RUN"
srun --kill-on-bad-exit=1 "${COMMAND[@]}" --output "$RUN" --distributed
[[ -d $LAST ]] || scontrol requeue "$SLURM_JOB_ID"
