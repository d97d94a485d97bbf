#!/bin/bash
# calflops 0.3.2: a product written with @ costs nothing, and one whose left side is broadcast costs one sample's.
#
# calculate_flops counts what passes through functions that it replaces for the time of the call: torch.matmul and Tensor.matmul are
# among them, the operator and torch.bmm are not. So one attention over 256 tokens has 11,534,336 multiplications and additions when its
# two products are written with torch.matmul, which is right, and 3,145,728, those of its three projections, when they are written with @
# or bmm: the part that grows with the square of the tokens is gone, without a word. With einsum these products are in its FLOPs, but not
# in its MACs, of the same call. Of torch.matmul it takes the left side's size for that of the product: a matrix times a batch of eight
# counts as one of them.
# Comparisons "by MACs" of two networks compare, among other things, how they are written.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0 calflops==0.3.2 transformers==5.24.0 numpy==2.4.6
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
from importlib.metadata import version

import torch
from calflops import calculate_flops
from torch import nn

print("torch", torch.__version__, "calflops", version("calflops"))
tokens, width = 256, 64


class Attention(nn.Module):
    def __init__(self, product):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.product = product

    def forward(self, x):
        weights = self.product(self.query(x), self.key(x).mT) / width**0.5
        return self.product(torch.softmax(weights, -1), self.value(x))


class FromTheLeft(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(32, width))

    def forward(self, x):
        return torch.matmul(self.weight, x.mT)


def count(net, *size):
    return calculate_flops(net, args=[torch.randn(*size)], print_results=False, output_as_string=False)[:2]


products = {
    "torch.matmul": lambda a, b: torch.matmul(a, b),
    "bmm": lambda a, b: torch.bmm(a, b),
    "@": lambda a, b: a @ b,
    "einsum": lambda a, b: torch.einsum("bij,bjk->bik", a, b),
}
projections, by_hand = 3 * tokens * width**2, 3 * tokens * width**2 + 2 * tokens**2 * width
x = torch.randn(1, tokens, width)
outputs, found = [], {}
for name, product in products.items():
    torch.manual_seed(0)
    attention = Attention(product)
    outputs.append(attention(x))
    flops, macs = found[name] = count(attention, 1, tokens, width)
    print(f"{name:12} {macs} MACs, {flops} FLOPs")
assert all(torch.allclose(output, outputs[0], atol=1e-5) for output in outputs), "not the same attention"
print(f"by hand      {by_hand} MACs, without the two products {projections}")
left = {batch: count(FromTheLeft(), batch, tokens, width)[1] for batch in (1, 8)}
print(f"a matrix of 32 x {width} times {width} x {tokens}, MACs: {left[1]}; times eight of them: {left[8]}, by hand {8 * 32 * width * tokens}")
assert found["torch.matmul"][1] == by_hand, found
assert found["@"][1] == found["bmm"][1] == found["einsum"][1] == projections, f"the behaviour has changed: {found}"
assert found["@"][0] < found["einsum"][0], f"the behaviour has changed: {found}"
assert left == {1: 32 * width * tokens, 8: 32 * width * tokens}, f"the behaviour has changed: {left}"
PYTHON
# Seen on 2026-11-29:
#   torch.matmul 11534336 MACs, 23068672 FLOPs
#   bmm          3145728 MACs, 6291456 FLOPs
#   @            3145728 MACs, 6291456 FLOPs
#   einsum       3145728 MACs, 23069456 FLOPs
#   by hand      11534336 MACs, without the two products 3145728
#   a matrix of 32 x 64 times 64 x 256, MACs: 524288; times eight of them: 524288, by hand 4194304
