#!/usr/bin/env bash
# Takes networks of full size from torchvision and timm, with random weights, and compares what ours compute with them on 64 images: reliability/given.sh
# PYTHON names an interpreter that has torch, torchvision, timm, transformers and safetensors; without it they are installed into an environment of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python="${PYTHON:-}"
if [ -z "$python" ]; then
  python3 -m venv "$folder/python"
  python="$folder/python/bin/python"
  "$python" -m pip install --quiet torch==2.15.0 torchvision==0.29.2 timm==1.0.31 transformers==5.24.0 safetensors==0.8.0
fi
"$python" plugins/bundle/tests/trajectory/given/make.py "$folder"
GIVEN="$folder" cargo test --release -p secateur-bundle --test trajectory -- --ignored real_networks --nocapture
