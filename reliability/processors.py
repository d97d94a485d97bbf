#!/usr/bin/env python3
"""The same network on another processor: `train.bits = "portable"` natively and on an emulated one with AVX2 and without AVX-512.

    python3 reliability/processors.py [--program target/debug/secateur]

Needs `qemu-x86_64` 7.2 or later (Debian's qemu-user), which emulates no AVX-512; skips loudly where it is missing, and where the machine lacks
AVX2. Small networks: a perceptron, a convolutional one, a vision transformer and an autoencoder, each dense and with its linear layers and its
convolutions, plain and transposed, over nonzeros; of convolutions also one whose products are those of Winograd's form, and whose
gradients go over the winners of its pooling alone. Beside them it asks that a processor without AVX2 is refused, and that a run begun here goes on there to the same bits.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EMULATED = ["qemu-x86_64", "-cpu", "Haswell"]
LESSER = ["qemu-x86_64", "-cpu", "Nehalem"]
BASE = [
    "data/glyphs", "criterion/magnitude", "--set=data.glyphs={train=100,test=20}", "train.batch_size=50", "output.pictures=0",
    "--set=train.bits=portable", "--set=prune={granularity=\"weight\",apply=\"mask\",scope=\"layer\"}",
    "--set=schedule={name=\"one-shot\",sparsity=0.8,at=0.34}", "threads=2", "output.checkpoint_every=1",
]
NETWORKS = {
    "mlp": ["model/mlp", "--set=model.hidden=[50,30]"],
    "cnn": ["model/cnn", "--set=model={channels=[4,6],hidden=[48,24],batch_norm=true}"],
    "wide": ["model/cnn", "--set=model={channels=[16,16],hidden=[24]}"],
    "vit": ["model/vit", "--set=model={depth=1,dim=20,heads=2,patch=14}", "--set=train={optimizer=\"adam\",lr=0.003}"],
    "vae": ["model/vae", "--set=data.normalize=unit", "--set=model={channels=[3,5],hidden=[40],latent=9}", "--set=train={optimizer=\"adam\",lr=0.003}"],
}
STEPS = {"dense": "off", "sparse": "always"}
# Convolutions that go over nonzeros beside the linear layers.
CONVOLUTIONS = {"cnn": {"conv1.weight", "conv2.weight"}, "vae": {"enc.conv1.weight", "dec.conv1.weight"}}


def skip(why):
    print(f"SKIPPED: {why}, so that nobody knows whether portable bits are the same on another processor")
    sys.exit(0)


def execute(before, program, words, out):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SECATEUR_")}
    return subprocess.run(before + [program, "run", *words, "--out", str(out)], env=environment, capture_output=True, text=True)


def network(done, out):
    """SHA-256 of the network of the one run in a folder."""
    found = sorted(out.glob("*/model.safetensors"))
    if done.returncode or len(found) != 1:
        sys.exit(f"{' '.join(map(str, done.args))}\n{done.stdout}{done.stderr}")
    return hashlib.sha256(found[0].read_bytes()).hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="target/debug/secateur")
    program = str(Path(parser.parse_args().program).resolve())
    if platform.machine() != "x86_64" or not {"avx2", "fma"} <= set(Path("/proc/cpuinfo").read_text().split()):
        skip("this is no x86-64 processor with AVX2 and FMA")
    if not shutil.which(EMULATED[0]):
        skip("there is no qemu-x86_64 (apt-get install qemu-user)")
    version = subprocess.run([EMULATED[0], "--version"], capture_output=True, text=True).stdout
    if tuple(map(int, re.search(r"version (\d+)\.(\d+)", version).groups())) < (7, 2):
        skip("this qemu emulates no AVX2, which it does from 7.2 on")
    wide = "avx512f" in Path("/proc/cpuinfo").read_text().split()
    print(f"natively {'with' if wide else 'WITHOUT'} AVX-512, and on {' '.join(EMULATED)}")
    failed, begun = 0, time.time()
    with tempfile.TemporaryDirectory(prefix="secateur-processors-") as folder:
        for name, words in NETWORKS.items():
            for kind, sparse in STEPS.items():
                words_of = BASE + words + ["train.epochs=3", f"--set=train.sparse={sparse}"]
                found = []
                for where, before in (("here", []), ("there", EMULATED)):
                    out = Path(folder) / name / kind / where
                    found.append(network(execute(before, program, words_of, out), out))
                same = found[0] == found[1]
                told = json.loads(next((Path(folder) / name / kind / "here").glob("*/summary.json")).read_text())
                over = set(told.get("sparse_layers") or [])
                if bool(over) != (kind == "sparse") or (over and not CONVOLUTIONS.get(name, set()) <= over):
                    sys.exit(f"{name}, {kind}: layers over nonzeros are {told.get('sparse_layers')}")
                failed += not same
                print(f"{name:4} {kind:6} {found[0][:16]} {found[1][:16]} {'the same' if same else 'DIFFERENT'}")
        refused = execute(LESSER, program, BASE + NETWORKS["mlp"] + ["train.epochs=1"], Path(folder) / "lesser")
        clear = refused.returncode != 0 and "train.bits" in refused.stderr and "AVX2" in refused.stderr
        failed += not clear
        print(f"without AVX2: {'refused' if clear else 'NOT REFUSED: ' + refused.stdout + refused.stderr}")
        # A run that is stopped here and goes on there, with masks held over the step at which it was stopped.
        words_of = BASE + NETWORKS["mlp"] + ["train.epochs=40", "--set=train.sparse=always"]
        whole, part = Path(folder) / "whole", Path(folder) / "part"
        expected = network(execute([], program, words_of, whole), whole)
        stopped = subprocess.Popen([program, "run", *words_of, "--out", str(part)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while stopped.poll() is None and not list(part.glob("*/checkpoint*")):
            time.sleep(0.01)
        stopped.terminate()
        stopped.wait()
        (run,) = part.iterdir()
        if (run / "model.safetensors").exists():
            sys.exit("the run that was to be stopped came to its end first")
        resumed = network(subprocess.run(EMULATED + [program, "run", "--resume", str(run)], capture_output=True, text=True), part)
        failed += resumed != expected
        print(f"resumed there: {'the same' if resumed == expected else 'DIFFERENT'}")
    print(f"{time.time() - begun:.0f} s")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
