#!/usr/bin/env python3
"""Tests and timings on a GPU, in one JSON file.

    framework/benches/gpu.py pack FOLDER      where there is a CUDA toolkit (a GPU is not needed): builds everything into FOLDER
    FOLDER/gpu.py run [--out docs/benchmarks] [--device 0] [--rounds 5]
                                              where there is a GPU and a Python with PyTorch (Rust is not needed)

`run` starts the agreement tests on the GPU, times training steps against PyTorch eager and compiled (f32 without TF32, interleaved,
medians), measures what cuBLAS reaches, and writes DEVICE-DATE.json.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TESTS = {"operations": "secateur", "runs": "secateur-bundle"}
CASES = ["mlp", "cnn", "vit192", "vit128", "vae"]
OWN = {"cnn-half": "cnn", "vit192-half": "vit192", "vit192-merge": "vit192"}


def pack(folder):
    root = HERE.parents[1]
    folder.mkdir(parents=True, exist_ok=True)
    cargo = ["cargo", "build", "--release", "--features", "cuda"]
    subprocess.run([*cargo, "-p", "secateur-bundle", "--example", "steps"], cwd=root, check=True)
    subprocess.run([*cargo, "-p", "secateur-runner"], cwd=root, check=True)
    release = root / "target" / "release"
    built = {"steps": release / "examples" / "steps", "secateur": release / "secateur"}
    for name, crate in TESTS.items():
        command = ["cargo", "test", "--release", "--no-run", "--features", "cuda", "-p", crate, "--test", "cuda", "--message-format=json"]
        lines = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()
        found = [json.loads(line).get("executable") for line in lines if '"executable":"' in line]
        built[f"test-{name}"] = pathlib.Path(found[-1])
    for name, path in built.items():
        shutil.copy2(path, folder / name)
        needed = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
        if re.search(r"NEEDED.*lib(cuda|cublas|nvrtc)", needed):
            sys.exit(f"{path} needs a CUDA library to start: a function is missing in framework/src/backend/cuda/runtime/driver.rs")
        subprocess.run(["strip", folder / name], check=True)
    for script in ("gpu.py", "peer_steps.py"):
        shutil.copy2(HERE / script, folder / script)
    print(f"packed into {folder}")


def libraries():
    """Where wheels keep cuBLAS: it may lie in several folders."""
    import nvidia  # comes with PyTorch

    found = [str(lib) for path in nvidia.__path__ for lib in pathlib.Path(path).glob("*/lib")]
    return os.pathsep.join([*found, os.environ.get("LD_LIBRARY_PATH", "")])


def tests(name, env):
    out = subprocess.run([HERE / f"test-{name}", "--test-threads=1"], env=dict(env, SECATEUR_TEST_CUDA="real"), capture_output=True, text=True)
    results = re.findall(r"^test (\S+) \.\.\. (\w+)", out.stdout, re.M)
    failed = [test for test, result in results if result == "FAILED"]
    crashed = out.returncode and not failed
    tail = (out.stdout + out.stderr)[-4000:] if failed or crashed else ""
    print(f"{name}: {sum(r == 'ok' for _, r in results)} tests passed, {len(failed)} failed" + (" and the program crashed" if crashed else ""))
    return {"passed": sum(r == "ok" for _, r in results), "failed": failed, "crashed": bool(crashed), "output": tail}


def figures(command, env):
    """What a timed program printed: `name value` lines, and the median in milliseconds as the last one."""
    out = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True)
    if out.returncode:
        return {"error": out.stderr[-2000:]}
    lines = out.stdout.strip().splitlines()
    pairs = dict(line.split() for line in lines[:-1] if len(line.split()) == 2)
    return {"ms": float(lines[-1]), **{key: float(value) for key, value in pairs.items()}}


def interleaved(commands, rounds, env):
    """Medians of several programs that take turns, and ratios of the first one's time to each."""
    rows = [{name: figures(command, env) for name, command in commands.items()} for _ in range(rounds)]
    broken = {name: row[name]["error"] for row in rows for name in row if "error" in row[name]}
    if broken:
        return {"error": broken}
    first = next(iter(commands))
    found = {f"{name}_ms": statistics.median(row[name]["ms"] for row in rows) for name in commands}
    found |= {f"{name}_ratio": statistics.median(row[name]["ms"] / row[first]["ms"] for row in rows) for name in commands if name != first}
    return found | {key: value for key, value in rows[-1][first].items() if key != "ms"}


def cublas_tflops(device):
    """What a large product reaches in f32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    n, times = 8192, []
    a, b = (torch.randn(n, n, device=device) for _ in range(2))
    for _ in range(8):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        a @ b
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return 2 * n**3 / statistics.median(times[2:]) / 1e9


def run(out, ordinal, rounds):
    import torch

    device = f"cuda:{ordinal}"
    env = dict(os.environ, LD_LIBRARY_PATH=libraries(), CUDA_VISIBLE_DEVICES=str(ordinal))
    name = torch.cuda.get_device_name(device)
    today = datetime.date.today().isoformat()
    result = {"device": name, "date": today, "torch": torch.__version__, "driver": torch._C._cuda_getDriverVersion()}
    result["tests"] = {suite: tests(suite, env) for suite in TESTS}
    result["cublas_tflops"] = cublas_tflops(device)
    ours, peer = [HERE / "steps"], [sys.executable, HERE / "peer_steps.py"]
    result["steps"] = {}
    for case in CASES:
        commands = {"ours": [*ours, case, "cuda:0"]}
        commands |= {mode: [*peer, case, "2", "cuda:0", mode] for mode in ("eager", "compile")}
        row = interleaved(commands, rounds, env)
        if "multiply_adds" in row:
            # Forward, and two products of the same size backward.
            row["of_cublas"] = 6 * row["multiply_adds"] / row["ours_ms"] / 1e9 / result["cublas_tflops"]
        if "needed_bytes" in row:
            row["memory_ratio"] = row["peak_bytes"] / row["needed_bytes"]
        result["steps"][case] = row
        print(case, json.dumps(row), flush=True)
    for case, dense in OWN.items():
        row = interleaved({"ours": [*ours, case, "cuda:0"], "dense": [*ours, dense, "cuda:0"]}, rounds, env)
        result["steps"][case] = row
        print(case, json.dumps(row), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name.lower().replace(' ', '-')}-{today}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"wrote {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=pathlib.Path)
    running = commands.add_parser("run")
    running.add_argument("--out", type=pathlib.Path, default=pathlib.Path("docs/benchmarks"))
    running.add_argument("--device", type=int, default=0, help="number of the GPU")
    running.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if args.command == "pack":
        pack(args.folder)
    else:
        run(args.out, args.device, args.rounds)


if __name__ == "__main__":
    main()
