#!/usr/bin/env bash
# Takes networks of full size from torchvision and timm, with random weights, and compares what ours compute with them on 64 images; then has the
# program cut half of their units out and export what is left, and compares it with PyTorch and onnxruntime: reliability/given.sh
# PYTHON names an interpreter that has torch, torchvision, timm, transformers, safetensors, pillow and onnxruntime, and ALONE one that has torch and
# nothing else; without them they are installed into environments of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python="${PYTHON:-}" alone="${ALONE:-}"
if [ -z "$python" ]; then
  python3 -m venv "$folder/python"
  python="$folder/python/bin/python"
  "$python" -m pip install --quiet torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0 safetensors==0.8.0 pillow onnxruntime
fi
if [ -z "$alone" ]; then
  python3 -m venv "$folder/alone"
  alone="$folder/alone/bin/python"
  "$alone" -m pip install --quiet torch==2.15.0
fi
"$python" plugins/bundle/tests/trajectory/given/make.py "$folder"
GIVEN="$folder" cargo test --release -p secateur-bundle --test trajectory -- --ignored real_networks --nocapture
program="${CARGO_TARGET_DIR:-target}/release/secateur"
[ -x "$program" ] || cargo build --release
"$python" reliability/given.py "$folder" --alone "$alone" --program "$(realpath "$program")"
