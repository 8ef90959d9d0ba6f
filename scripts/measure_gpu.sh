#!/usr/bin/env bash
# Measure the networks on a GPU within six minutes: tests marked `gpu`, latency by block and end
# to end, roofline, operators, batches and float16, the detector against the authors' way,
# `widerface predict`, growth, and compiled networks; most valuable first.
#
#     scripts/measure_gpu.sh [--device cuda|cuda:N|cpu] [--seconds S] [--budget S] [--out DIR]
#
# --device cpu   a dry run on small images, to see that everything still runs
# --seconds      for each measurement (0.6)
# --budget       for everything (360; 1800 on a CPU); what does not fit any more is skipped and named
# --out          where the results go (gpu-results): latency.jsonl, roofline.jsonl, growth.jsonl and
#                operators.jsonl, which are those of docs/results, each row added once it is
#                measured; bench.json; predict.json; log.txt with all tables; failures.txt, empty if all
#                went well
#
# The machine needs Python from 3.11, bash, coreutils, PyTorch with CUDA and torchvision, gcc for
# compiled networks, but neither a network nor this project installed; and from a folder of wheels,
# 110 MB, which `pip download -d WHEELS` fills with the same names on a machine like it:
#     pip install --no-index --find-links WHEELS numpy scipy pillow pydantic filelock safetensors \
#         onnx onnxruntime typer rich psutil pytest
# A dry run needs py-cpuinfo as well.
#
# FEATHERFACE_WEIGHTS  folder with official.pth and retinaface.pth (default: ../shared/weights);
#                      without it, latency and roofline are measured all the same
# WIDER_IMAGES         folder EVENT/IMAGE.jpg to predict, about 100 images; else that is left out
# FEATHERFACE_COMMIT   the commit of a copy without .git, for the records
# PYTHON               the interpreter (python3)
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
device=cuda seconds=0.6 budget= out=gpu-results
while [ $# -gt 0 ]; do
  case $1 in
    --device | --seconds | --budget | --out)
      [ $# -ge 2 ] || { echo "measure_gpu.sh: $1 needs a value" >&2; exit 2; }
      declare "${1#--}=$2"
      shift 2
      ;;
    *) echo "measure_gpu.sh: unknown option $1" >&2; exit 2 ;;
  esac
done
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
cd "$root" || exit 2

python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
export FEATHERFACE_CACHE=$work/cache ORT_DISABLE_TELEMETRY=1
for kind in latency roofline growth operators; do
  if [ -f "docs/results/$kind.jsonl" ]; then cp "docs/results/$kind.jsonl" "$out/"; fi
done
: > "$out/failures.txt"
: > "$out/log.txt"

# stage NAME SECONDS COMMAND...: run it, for so long at most, and go on whatever happens.
stage() {
  local name=$1 most=$(($2 * patience)) left=$((budget - SECONDS)) code begin=$SECONDS
  shift 2
  if [ "$left" -lt 10 ]; then
    echo "$name: skipped, no time left" | tee -a "$out/failures.txt"
    return
  fi
  printf '\n== %s: %s\n' "$name" "$*" >> "$out/log.txt"
  timeout -k 5 "$((most < left ? most : left))" "$@" > "$work/stage.txt" 2>&1
  code=$?
  cat "$work/stage.txt" >> "$out/log.txt"
  echo "$name: exit code $code, $((SECONDS - begin)) s"
  if [ "$code" != 0 ]; then
    { echo "$name: exit code $code (124: time-out)"; tail -n 15 "$work/stage.txt"; } >> "$out/failures.txt"
  fi
}
cli() {
  local name=$1 most=$2
  shift 2
  stage "$name" "$most" "$python" -m analysis.cli.main "$@"
}

if [ "$device" = cpu ]; then
  size=(64 64) fast=auto blocks=(torch) many=2 half=float64 growth_kept=0 patience=6 variants=(v1 retinaface) benched=(--variant official)
else
  size=(640 640) fast=cuda-graph blocks=(torch cuda-graph) many=64 half=float16 growth_kept=1 patience=1 variants=(all) benched=()
fi
budget=${budget:-$((patience == 1 ? 360 : 1800))}
record=(--device "$device" --size "${size[@]}" --record "$out" --record-doubtful)
looking=() every=()
for variant in "${variants[@]}"; do every+=(--variant "$variant"); done
for runtime in "${blocks[@]}"; do looking+=(--runtime "$runtime"); done

[ "$device" = cpu ] || nvidia-smi >> "$out/log.txt" 2>&1
stage "gpu tests" 60 "$python" -m pytest -q -m gpu -o addopts= -o filterwarnings=default \
  --import-mode=importlib --continue-on-collection-errors -p no:cacheprovider -s -rfEs \
  tests/featherface tests/analysis/speed
cli "latency and roofline" 120 latency "${every[@]}" "${looking[@]}" --roofline \
  --dtype float32 --dtype "$half" --batch 1 --batch 8 --batch "$many" --seconds "$seconds" \
  "${record[@]}"
cli "bench" 45 bench "${benched[@]}" --device "$device" --size "${size[@]}" --seconds "$seconds" \
  --json "$out/bench.json"
if [ -n "${WIDER_IMAGES:-}" ]; then
  cli "predict" 30 widerface predict --weights official --images "$WIDER_IMAGES" \
    --out "$work/predictions" --device "$device" --runtime "$fast" --json "$out/predict.json"
fi
cli "operators" 25 latency --operators --seconds "$seconds" "${record[@]}"
if [ "$growth_kept" = 1 ]; then
  cli "channels-last" 25 latency "${every[@]}" --runtime "$fast" --channels-last \
    --seconds "$seconds" "${record[@]}"
  cli "growth" 55 latency --growth "${looking[@]}" --seconds "$seconds" "${record[@]}"
  cli "compiled official" 90 latency --runtime compile --seconds "$seconds" "${record[@]}"
  cli "compiled v1" 90 latency --variant v1 --runtime compile --seconds "$seconds" "${record[@]}"
fi
echo "results in $out, $SECONDS s, $(grep -c 'exit code\|skipped' "$out/failures.txt") failures"
[ ! -s "$out/failures.txt" ]
