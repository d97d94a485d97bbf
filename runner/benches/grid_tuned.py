#!/usr/bin/env python3
"""All cells of sweep/mnist-criteria-small in PyTorch, tuned: the data once as tensors, no DataLoader, two worker processes.

    grid_tuned.py DATA_DIR
"""
import pathlib
import sys

import torch
import torch.multiprocessing as mp

from grid_naive import accuracy, read, train

CRITERIA = ["contribution-rank", "magnitude", "random", "worst"]


def tensors(folder, part):
    x = torch.from_numpy(read(folder, f"{part}-images-idx3-ubyte").reshape(-1, 784).copy()).float().div_(255).sub_(0.5).div_(0.5)
    return x, torch.from_numpy(read(folder, f"{part}-labels-idx1-ubyte").copy()).long()


def cell(job):
    (x, y), (tx, ty), criterion, seed = job
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    order = torch.randperm(len(y))
    own, held = order[:54000], order[54000:]

    def batches():
        for i in own[torch.randperm(len(own))].split(128):
            yield x[i], y[i]

    held_out = [(x[i], y[i]) for i in held.split(1000)]
    net = train(criterion, seed, batches, lambda: held_out)
    return criterion, seed, accuracy(net, list(zip(tx.split(1000), ty.split(1000))))


def main():
    folder = pathlib.Path(sys.argv[1])
    data = [tuple(t.share_memory_() for t in tensors(folder, part)) for part in ("train", "t10k")]
    jobs = [(*data, criterion, seed) for criterion in CRITERIA for seed in range(5)]
    with mp.get_context("fork").Pool(2) as pool:
        for found in pool.imap_unordered(cell, jobs):
            print(*found)


if __name__ == "__main__":
    main()
