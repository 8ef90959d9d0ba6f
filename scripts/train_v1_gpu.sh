#!/usr/bin/env bash
# Distils v1 from `official` on one GPU, on a machine with Python, PyTorch and nothing installed.
#
# usage: OUT=run scripts/train_v1_gpu.sh [MINUTES [OPTION...]]
#   PACK     made by `python -m featherface.training.pack`    (default .gpu/train.zip)
#   WEIGHTS  the folder that holds official.pth               (default .gpu/weights)
# Options are those of `featherface train`. Stopped, the same command goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-5}
[ $# -gt 0 ] && shift
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
export FEATHERFACE_WEIGHTS=${WEIGHTS:-$PWD/.gpu/weights}
run() {
    python3 -c 'from analysis.cli.main import main; main()' train \
        --data "${PACK:-.gpu/train.zip}" --out "${OUT:?}" --variant v1 --teacher official \
        --minutes "$minutes" --device cuda "$@"
}
# A GPU that refuses to record steps may refuse everything after it in that process.
run "$@" || run "$@" --no-graph
