#!/usr/bin/env python3
"""Trains the small ViT of `experiment/burden-vit-cifar10-small` here and in PyTorch, dense and at 90 % sparsity, and compares.

    python3 framework/benches/vit_recipe.py DIR [--per-class 1000] [--epochs 6] [--seeds 2]

DIR holds train/<class>/* and test/<class>/* (CIFAR-10 as images). Both sides see the same images: the first of each class. The recipe
is the same in every detail that matters: network and initial distributions, crops and flips, AdamW with its decay on weights alone,
warm-up and cosine, masks renewed by magnitude over all prunable weights every ten steps while pruned weights keep learning.
Writes target/bench/vit_recipe.json and ends with 1 where our mean accuracy is more than a point below PyTorch's.
"""
import argparse
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "target" / "bench-venv"
BATCH, DIM, HEADS, DEPTH, LR, DECAY, SPARSITY, EVERY = 128, 96, 3, 4, 0.00125, 0.05, 0.9, 10


def subset(source, per_class):
    """A folder with the first `per_class` training images of every class, and all test images."""
    target = ROOT / "target" / "bench" / f"cifar10-{per_class}"
    if not target.exists():
        for split in ("train", "test"):
            for folder in sorted((source / split).iterdir()):
                (target / split / folder.name).mkdir(parents=True)
                files = sorted(folder.iterdir())
                for file in files[:per_class] if split == "train" else files:
                    shutil.copy(file, target / split / folder.name / file.name)
    return target


def ours(data, args, seed, dense):
    exe = ROOT / "target" / "release" / "secateur"
    out = ROOT / "target" / "bench" / "vit_recipe" / f"{'dense' if dense else 'sparse'}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    sets = {"seed": seed, "data.dir": data, "data.validation": 0, "data.train_limit": 10 * args.per_class, "train.epochs": args.epochs, "train.eval_every": args.epochs}
    # A dense network is one whose schedule asks for nothing.
    sets |= {"data.test_limit": len(list((data / "test").glob("*/*"))), "schedule.sparsity": 0.0 if dense else SPARSITY}
    flags = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    subprocess.run([exe, "run", "experiment/burden-vit-cifar10-small", "data/cifar10-images", *flags, "--out", out], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    events = [json.loads(line) for line in next(out.glob("*/events.jsonl")).open()]
    prunes = [e for e in events if e["event"] == "prune"]
    weights = next(e for e in events if e["event"] == "start")["params"]
    accuracy = next(e["accuracy"] for e in reversed(events) if e["event"] == "eval" and e["split"] == "test")
    off = max(abs(e["target"] - e["achieved"]) * weights for e in prunes)
    return {"accuracy": accuracy, "off_target_weights": off, "returned": sum(e["returned"] for e in prunes)}


def theirs(data, args, seed, dense):
    command = [VENV / "bin" / "python", __file__, data, "--peer", "--seeds", seed, "--epochs", args.epochs] + ["--dense"] * dense
    env = dict(os.environ, OMP_NUM_THREADS=str(args.threads))
    out = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True, env=env).stdout
    return {"accuracy": float(out.split()[-1])}


def peer(data, epochs, seed, dense):
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)

    def load(split):
        x, y = [], []
        for label, folder in enumerate(sorted((data / split).iterdir())):
            for file in sorted(folder.iterdir()):
                x.append(np.asarray(Image.open(file).convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255)
                y.append(label)
        return np.stack(x), torch.tensor(y)

    (x, y), (test_x, test_y) = load("train"), load("test")
    mean, std = x.mean((0, 2, 3), keepdims=True)[0], x.std((0, 2, 3), keepdims=True)[0]
    test_x = torch.from_numpy((test_x - mean) / std)

    def augmented(batch):
        padded = np.pad(batch, ((0, 0), (0, 0), (4, 4), (4, 4)))
        rows = []
        for image in padded:
            i, j = rng.integers(0, 9, 2)
            crop = image[:, i : i + 32, j : j + 32]
            rows.append(crop[:, :, ::-1] if rng.random() < 0.5 else crop)
        return torch.from_numpy((np.stack(rows) - mean) / std)

    class Linear(torch.nn.Linear):
        """A linear layer whose masked weights keep getting the gradient of the masked network."""

        def __init__(self, inner, out):
            super().__init__(inner, out)
            bound = inner**-0.5
            torch.nn.init.uniform_(self.weight, -bound, bound)
            torch.nn.init.uniform_(self.bias, -bound, bound)
            self.register_buffer("mask", torch.ones_like(self.weight))

        def forward(self, h):
            masked = self.weight + (self.weight * self.mask - self.weight).detach()
            return F.linear(h, masked, self.bias)

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = torch.nn.LayerNorm(DIM), torch.nn.LayerNorm(DIM)
            self.qkv, self.proj = Linear(DIM, 3 * DIM), Linear(DIM, DIM)
            self.fc1, self.fc2 = Linear(DIM, 4 * DIM), Linear(4 * DIM, DIM)

        def forward(self, h):
            n, t, _ = h.shape
            q, k, v = self.qkv(self.norm1(h)).view(n, t, 3, HEADS, DIM // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
            h = h + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, DIM))
            return h + self.fc2(F.gelu(self.fc1(self.norm2(h)), approximate="tanh"))

    class Vit(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.patch, self.head = Linear(48, DIM), Linear(DIM, 10)
            self.token = torch.nn.Parameter(torch.nn.init.trunc_normal_(torch.empty(1, 1, DIM), std=0.02, a=-0.04, b=0.04))
            self.position = torch.nn.Parameter(torch.nn.init.trunc_normal_(torch.empty(65, DIM), std=0.02, a=-0.04, b=0.04))
            self.blocks = torch.nn.Sequential(*[Block() for _ in range(DEPTH)])
            self.norm = torch.nn.LayerNorm(DIM)

        def forward(self, x):
            n = x.shape[0]
            x = x.view(n, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(n, 64, 48)
            h = torch.cat([self.token.expand(n, 1, DIM), self.patch(x)], 1) + self.position
            return self.head(self.norm(self.blocks(h))[:, 0])

    net = Vit()
    weights = [m for m in net.modules() if isinstance(m, Linear)]
    prunable = [m for m in weights if m is not net.head]
    decayed = {id(m.weight) for m in weights}
    groups = [
        {"params": [p for p in net.parameters() if id(p) in decayed], "weight_decay": DECAY},
        {"params": [p for p in net.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LR)
    per_epoch = math.ceil(len(y) / BATCH)
    steps = per_epoch * epochs
    first, last = round(0.1 * (steps - 1)), round(0.75 * (steps - 1))

    def lr(step):
        if step < per_epoch:
            return LR * (step + 1) / per_epoch
        return LR * 0.5 * (1 + math.cos(math.pi * (step - per_epoch) / (steps - per_epoch)))

    def prune(step):
        ahead = min(1.0, (step - first) / (last - first))
        target = SPARSITY * (1 - (1 - ahead) ** 3)
        size = torch.cat([m.weight.detach().abs().flatten() for m in prunable])
        count = int(target * len(size))
        if count:
            threshold = size.kthvalue(count).values
            for m in prunable:
                m.mask = (m.weight.detach().abs() > threshold).float()

    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for at in range(0, len(y), BATCH):
            rows = order[at : at + BATCH]
            for group in optimizer.param_groups:
                group["lr"] = lr(step)
            loss = F.cross_entropy(net(augmented(x[rows])), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not dense and first <= step <= last and ((step - first) % EVERY == 0 or step == last):
                prune(step)
            step += 1
    with torch.no_grad():
        found = torch.cat([net(part).argmax(1) for part in test_x.split(1000)])
    print((found == test_y).float().mean().item())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--per-class", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--dense", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.data, args.epochs, args.seeds, args.dense)
    if subprocess.run([VENV / "bin" / "python", "-c", "import torch, PIL"], capture_output=True).returncode:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "torch", "numpy", "pillow"], check=True)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    data, rows, worse = subset(args.data, args.per_class), [], False
    for dense in (True, False):
        pairs = [(ours(data, args, seed, dense), theirs(data, args, seed, dense)) for seed in range(args.seeds)]
        mine, peers = ([p[i]["accuracy"] for p in pairs] for i in (0, 1))
        gap = statistics.mean(mine) - statistics.mean(peers)
        worse |= gap < -0.01
        name = "dense" if dense else "90 % sparse"
        print(f"{name:12} ours {mine}  PyTorch {peers}  difference {100 * gap:+.2f} points", flush=True)
        if not dense:
            print(f"{'':12} largest miss of a target: {max(p[0]['off_target_weights'] for p in pairs):.2f} weights; returned: {[p[0]['returned'] for p in pairs]}")
        rows.append({"name": name, "ours": mine, "peer": peers, "details": [p[0] for p in pairs]})
    out = ROOT / "target" / "bench" / "vit_recipe.json"
    out.write_text(json.dumps(rows, indent=2) + "\n")
    return int(worse)


if __name__ == "__main__":
    sys.exit(main())
