#!/usr/bin/env bash
# Distils v1 from `official` on one GPU, on a machine with Python, PyTorch and nothing installed.
#
# usage: OUT=run scripts/train_v1_gpu.sh [MINUTES [OPTION|NAME=VALUE...]]
#   PACK     made by `python -m featherface.training.pack`    (default .gpu/train.zip)
#   WEIGHTS  the folder that holds official.pth               (default .gpu/weights)
# What follows MINUTES is for `python -m featherface.training`. Stopped, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-5}
[ $# -gt 0 ] && shift
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
export FEATHERFACE_WEIGHTS=${WEIGHTS:-$PWD/.gpu/weights}
run() {
    python3 -m featherface.training "${PACK:-.gpu/train.zip}" "${OUT:?}" \
        variant=v1 teacher=official minutes="$minutes" "$@"
}
code=0
run "$@" || code=$?
case $code in
    0 | 2 | 130 | 137 | 143) exit $code ;; # done, bad input, interrupted, killed, asked to stop
esac
# A GPU that refuses to record steps may refuse everything after it in that process.
run "$@" --no-graph
