"""Shared weights trained by PyTorch 2.15 in double precision, with autograd through the lookup: writes shared.json."""

import json
from pathlib import Path

import torch

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


def shared(out, inputs, values, pruned):
    """A weight matrix [out, inputs] of shared values: label 0 is a pruned weight."""
    labels = torch.randint(1, values + 1, (out, inputs))
    labels[torch.rand(out, inputs) < pruned] = 0
    return torch.randn(values).float().double(), labels


def forward(x, layers, biases):
    weights = [torch.cat([torch.zeros(1), values])[labels] for values, labels in layers]
    return torch.relu(x @ weights[0].T + biases[0]) @ weights[1].T + biases[1]


layers = [shared(5, 6, 4, 0.4), shared(3, 5, 3, 0.2)]
biases = [torch.randn(5).float().double(), torch.randn(3).float().double()]
x, classes, lr = torch.randn(20, 6).float().double(), torch.randint(0, 3, (20,)), 0.0625
found = {
    "labels": [labels.flatten().tolist() for _, labels in layers],
    "biases": [bias.tolist() for bias in biases],
    "x": x.flatten().tolist(),
    "classes": classes.tolist(),
    "lr": lr,
    "values": [[values.tolist() for values, _ in layers]],
    "gradients": [],
}
for _ in range(5):
    leaves = [values.clone().requires_grad_() for values, _ in layers]
    logits = forward(x, [(leaf, labels) for leaf, (_, labels) in zip(leaves, layers)], biases)
    torch.nn.functional.cross_entropy(logits, classes).backward()
    found["gradients"].append([leaf.grad.tolist() for leaf in leaves])
    layers = [(leaf.detach() - lr * leaf.grad, labels) for leaf, (_, labels) in zip(leaves, layers)]
    found["values"].append([values.tolist() for values, _ in layers])
Path(__file__).with_name("shared.json").write_text(json.dumps(found) + "\n")
