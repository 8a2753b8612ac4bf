#!/bin/bash
# Copyright 2026 The mugv_jax Authors
# SPDX-License-Identifier: Apache-2.0
#
# Trains on a Cloud TPU slice, one process on each of its machines:
#
#   tools/launch/tpu_vm.sh train --config configs/mugv_10b.py --config.run.weights=/shared/dit.pt \
#     --config.mesh.fsdp=16 --config.mesh.sequence=4 --config.run.remat=dots \
#     --config.data.paths="('/shared/samples',)"
#
# Edit the two lines marked EDIT. Run again to resume. Every machine needs a checkout with
# `pip install -e '.[tpu]'` in CHECKOUT, and samples and RUN on a file system that all machines see
# (Filestore, or a bucket mounted by gcsfuse).

set -euo pipefail

SLICE=(my-slice --zone=us-east5-a --project=my-project)  # EDIT
RUN=/shared/runs/first                                   # EDIT

CHECKOUT='$HOME/mugv_jax'
# 64 MiB of vector memory for large attention blocks; exchanges, including gathers of weights,
# overlap with arithmetic. libtpu 0.0.42 knows these flags; their effect was not measured.
FLAGS="--xla_tpu_scoped_vmem_limit_kib=65536 \
--xla_tpu_enable_async_collective_fusion=true \
--xla_tpu_enable_async_collective_fusion_fuse_all_gather=true \
--xla_tpu_enable_async_collective_fusion_multiple_steps=true \
--xla_tpu_overlap_compute_collective_tc=true \
--xla_enable_async_all_gather=true"

printf -v arguments '%q ' "$@"
gcloud compute tpus tpu-vm ssh "${SLICE[@]}" --worker=all --command="
  cd $CHECKOUT && mkdir -p $RUN &&
  LIBTPU_INIT_ARGS='$FLAGS' JAX_COMPILATION_CACHE_DIR=$RUN/compiled \
  mugv-jax $arguments --output $RUN --distributed"
