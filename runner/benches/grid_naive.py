#!/usr/bin/env python3
"""One cell of sweep/mnist-criteria-small as a user would write it in PyTorch: DataLoader, a mask on every unit, one process a run.

    grid_naive.py DATA_DIR CRITERION SEED
"""
import gzip
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, random_split


def read(folder, name):
    path = next(p for p in (folder / name, folder / f"{name}.gz") if p.exists())
    raw = (gzip.open if path.suffix == ".gz" else open)(path, "rb").read()
    return np.frombuffer(raw, np.uint8, offset=16 if "images" in name else 8)


class Mnist(Dataset):
    def __init__(self, folder, part):
        self.x = read(folder, f"{part}-images-idx3-ubyte").reshape(-1, 784)
        self.y = read(folder, f"{part}-labels-idx1-ubyte")

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = torch.from_numpy(self.x[i].copy()).float().div(255)
        return (x - 0.5) / 0.5, int(self.y[i])


class Net(nn.Module):
    def __init__(self, widths=(50, 30)):
        super().__init__()
        sizes = [784, *widths, 10]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x, taps=None):
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
            if taps is not None:
                taps.append(x)
        return self.layers[-1](x)


def contributions(net, taps, sums):
    for k, a in enumerate(taps):
        w, a = net.layers[k + 1].weight.detach().abs(), a.detach().abs()
        total = a @ w.T
        share = torch.where(total > 0, 1 / total, torch.zeros(())).T @ a * w
        sums[k] = sums[k] + share.mean(0)


def scores(criterion, net, sums, k):
    if criterion == "magnitude":
        return net.layers[k].weight.detach().abs().sum(1)
    if criterion == "random":
        return torch.rand(net.layers[k].out_features)
    return sums[k] if criterion == "contribution-rank" else -sums[k]


def shrink(net, keep):
    small = Net([len(k) for k in keep])
    rows, columns = [*keep, torch.arange(10)], [torch.arange(784), *keep]
    for old, new, r, c in zip(net.layers, small.layers, rows, columns):
        new.weight.data = old.weight.data[r][:, c].clone()
    return small


def accuracy(net, batches):
    with torch.no_grad():
        right = [(net(x).argmax(1) == y).float().sum() for x, y in batches]
        return float(sum(right)) / sum(len(y) for _, y in batches) if isinstance(batches, list) else float(sum(right))


def train(criterion, seed, batches, held_out, epochs=14, prunes=range(3, 12)):
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    loss_of, sums = nn.CrossEntropyLoss(), [0, 0]
    for epoch in range(1, epochs + 1):
        for x, y in batches():
            taps = [] if criterion in ("contribution-rank", "worst") else None
            loss = loss_of(net(x, taps), y)
            optimizer.zero_grad()
            loss.backward()
            if taps is not None:
                contributions(net, taps, sums)
            optimizer.step()
        accuracy(net, held_out())
        if epoch in prunes:
            accuracy(net, held_out())
            keep = []
            for k in range(2):
                s = scores(criterion, net, sums, k)
                keep.append(torch.topk(s, max(1, int(len(s) * 0.9 + 1e-9))).indices.sort().values)
            net, sums = shrink(net, keep), [0, 0]
            optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            accuracy(net, held_out())
    return net


def main():
    folder, criterion, seed = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    parts = random_split(Mnist(folder, "train"), [54000, 6000])
    train_loader, held_out = DataLoader(parts[0], 128, shuffle=True), DataLoader(parts[1], 1000)
    net = train(criterion, seed, lambda: train_loader, lambda: held_out)
    test = DataLoader(Mnist(folder, "t10k"), 1000)
    print(criterion, seed, accuracy(net, test) / 10000)


if __name__ == "__main__":
    main()
