"""What the search for the sparsest network is held to, by PyTorch in double precision. Writes golden.json beside this file.

- trajectories: networks of a few masks, trained step by step with torch.optim and torch's own linear layers, masks applied
  to weights and gradients;
- xor: every mask of small networks (disconnected ones, and all that differ in the order of their hidden units), each
  trained from many starts: which of them separate the four points of XOR. Nothing is known of paths or symmetries here.

    python make.py
"""

import itertools
import json
import pathlib

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def layers_of(inputs, rows):
    """Masks [units, before] of each layer, from what each unit reads as bits."""
    masks, before = [], inputs
    for layer in rows:
        masks.append(np.array([[row >> i & 1 for i in range(before)] for row in layer], dtype=float))
        before = len(layer)
    return masks


def trajectory(inputs, rows, x, y, optimizer, lr, steps, seed):
    rng = np.random.default_rng(seed)
    masks = layers_of(inputs, rows)
    numbers = [rng.uniform(-1, 1, size=int(mask.sum()) + len(mask)) for mask in masks]
    start = np.concatenate(numbers)
    linears = []
    for mask, some in zip(masks, numbers):
        linear = torch.nn.Linear(mask.shape[1], mask.shape[0])
        weight, bias, at = np.zeros(mask.shape), np.zeros(len(mask)), 0
        for unit, row in enumerate(mask):  # unit by unit: weights, then bias
            n = int(row.sum())
            weight[unit, row > 0] = some[at : at + n]
            bias[unit] = some[at + n]
            at += n + 1
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weight))
            linear.bias.copy_(torch.tensor(bias))
        linears.append(linear)
    network = torch.nn.Sequential(*[part for linear in linears[:-1] for part in (linear, torch.nn.ReLU())], linears[-1])
    made = torch.optim.Adam if optimizer == "adam" else lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)
    opt = made(network.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: 0.5 * (1 + np.cos(np.pi * t / steps)))
    inputs_, targets = torch.tensor(x), torch.tensor(y)[:, None]
    for _ in range(steps):
        opt.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(network(inputs_), targets).backward()
        for linear, mask in zip(linears, masks):
            linear.weight.grad *= torch.tensor(mask)
        opt.step()
        schedule.step()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(network(inputs_), targets).item()
    right = int(((network(inputs_) > 0) == (targets > 0.5)).sum())
    end = []
    for linear, mask in zip(linears, masks):
        for unit, row in enumerate(mask):
            end += linear.weight[unit, torch.tensor(row > 0)].tolist() + [linear.bias[unit].item()]
    case = {"inputs": inputs, "layers": rows, "x": np.ravel(x).tolist(), "y": [bool(v) for v in y]}
    return case | {"optimizer": optimizer, "lr": lr, "steps": steps, "start": start.tolist(), "end": end, "loss": loss, "right": right}


def every_mask(widths, starts, steps, lr):
    """For each mask of a network 2-widths-1, as bits in PyTorch's order, whether it separates XOR from any start."""
    x = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    y = torch.tensor([0.0, 1.0, 1.0, 0.0])
    sizes = list(zip([2, *widths], [*widths, 1]))
    bits = sum(a * b for a, b in sizes)
    each = np.array(list(itertools.product((0, 1), repeat=bits)), dtype=float)[:, ::-1].copy()  # bit 0 first
    separated = np.zeros(len(each), dtype=bool)
    rng = np.random.default_rng(0)
    together = 16
    all_masks = np.tile(each, (together, 1))
    for _ in range(starts // together):
        w, b, m, at = [], [], [], 0
        for fan_in, units in sizes:
            n = len(all_masks)
            mask = torch.tensor(all_masks[:, at : at + fan_in * units].reshape(n, units, fan_in))
            w.append((torch.tensor(rng.uniform(-1, 1, (n, units, fan_in))) * mask).requires_grad_())
            b.append(torch.tensor(rng.uniform(-1, 1, (n, units))).requires_grad_())
            m.append(mask)
            at += fan_in * units
        opt = torch.optim.Adam(w + b, lr=lr)

        def outputs():
            h = x.expand(len(all_masks), 4, 2)
            for i, (wi, bi, mi) in enumerate(zip(w, b, m)):
                h = torch.einsum("nui,npi->npu", wi * mi, h) + bi[:, None]
                h = torch.relu(h) if i < len(w) - 1 else h
            return h[:, :, 0]

        for _ in range(steps):
            opt.zero_grad()
            losses = torch.nn.functional.binary_cross_entropy_with_logits(
                outputs(), y.expand(len(all_masks), 4), reduction="none"
            )
            losses.mean(dim=1).sum().backward()
            opt.step()
        right = ((outputs() > 0) == (y > 0.5)).all(dim=1).detach().numpy()
        separated |= right.reshape(together, len(each)).any(axis=0)
    found = [int(row @ (1 << np.arange(bits))) for row in each[separated].astype(int)]
    least = min(bin(mask).count("1") for mask in found)
    print(widths, len(each), "masks,", len(found), "separate, the sparsest with", least)
    return {"widths": widths, "minimum": least, "masks": [mask for mask in found if bin(mask).count("1") == least]}


if __name__ == "__main__":
    rng = np.random.default_rng(7)
    x = rng.normal(size=(11, 2)).astype(np.float32).astype(float)
    y = (x[:, 0] * x[:, 1] > 0).astype(float)
    trajectories = [
        trajectory(2, rows, x, y, optimizer, lr, 150, seed)
        for seed, (rows, optimizer, lr) in enumerate(
            [
                ([[3, 3], [3]], "adam", 0.03),
                ([[1, 2, 3], [1, 6], [3]], "adam", 0.03),
                ([[1, 2, 3], [5, 6], [1, 3], [3]], "momentum", 0.1),
                ([[3, 3, 3], [7]], "momentum", 0.1),
                ([[2], [1, 1], [3]], "adam", 0.05),
            ]
        )
    ]
    xor = [every_mask([3], 32, 400, 0.05), every_mask([2, 2], 64, 500, 0.05)]
    golden = {"torch": torch.__version__, "trajectories": trajectories, "xor": xor}
    (pathlib.Path(__file__).parent / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
