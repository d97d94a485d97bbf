#!/usr/bin/env bash
# Assembles a CUDA 13.0 toolkit from Python wheels: enough to build with the feature `cuda` on a machine without a GPU.
#   framework/cuda/toolkit.sh [FOLDER=target/cuda-toolkit] && . target/cuda-toolkit/env.sh && cargo build --release --features cuda
# Needs python3 with pip, and cc. Nothing is installed outside of FOLDER.
set -euo pipefail
mkdir -p "${1:=target/cuda-toolkit}"
to=$(cd "$1" && pwd)
python3 -m pip --disable-pip-version-check install --quiet --no-deps --no-compile --only-binary=:all: --upgrade \
  --implementation cp --python-version 3.12 --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --target "$to/site" \
  nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
root=$to/site/nvidia/cu13
chmod -R u+rwX,go+rX "$root"
chmod +x "$root"/bin/* "$root"/nvvm/bin/*
ln -sfn lib "$root/lib64"
mkdir -p "$root/lib/stubs" "$to/shim"
# cudarc asks the linker for these libraries, but the program defines every function itself: they may be empty.
for name in cuda cublas cublasLt nvrtc; do
  echo | cc -x c -shared -fPIC -o "$root/lib/stubs/lib$name.so" -
done
# dfdx's build script asks nvidia-smi which GPU to build for.
cat > "$to/shim/nvidia-smi" <<'SMI'
#!/bin/sh
case "$*" in
*compute_cap*) echo compute_cap; echo "${CUDA_COMPUTE_CAP:-80}" | sed 's/.$/.&/' ;;
*) echo "this stands in for nvidia-smi while building; it knows only --query-gpu=compute_cap" >&2; exit 1 ;;
esac
SMI
chmod +x "$to/shim/nvidia-smi"
cat > "$to/env.sh" <<ENV
export CUDA_ROOT=$root CUDA_PATH=$root CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-80}
export PATH=$root/bin:$to/shim:\$PATH
export LIBRARY_PATH=$root/lib/stubs\${LIBRARY_PATH:+:\$LIBRARY_PATH}
ENV
"$root/bin/nvcc" --version | grep release
echo "now: . $to/env.sh"
