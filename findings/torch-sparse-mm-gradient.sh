#!/bin/bash
# torch 2.15.0: whether a weight that is zero gets a gradient depends on how its sparse product is written, @ or torch.sparse.mm.
#
# A masked weight, to_sparse() and a product: the result is the same for `w @ x`, torch.mm(w, x) and torch.sparse.mm(w, x), and so is the
# gradient of what is stored. Of the weights that are zero @ and mm give the full gradient, with which methods such as RigL decide what
# grows; torch.sparse.mm, torch.sparse.addmm and the way back through to_dense() give zero. In COO and in CSR alike. With the second
# group nothing ever grows, or what grows is chosen among ties; with the first a plain optimizer step fills the zeros. The documentation
# calls sparse.mm similar to torch.mm, and says that the gradient is a sparse tensor; that the one of torch.mm is not it does not say.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0
"$dir/venv/bin/python" -W ignore - <<'PYTHON'
import torch

print("torch", torch.__version__)
x = torch.tensor([[1.0], [2.0], [4.0]])
products = {
    "w @ x, dense": lambda w: w @ x,
    "w.to_sparse() @ x": lambda w: w.to_sparse() @ x,
    "w.to_sparse_csr() @ x": lambda w: w.to_sparse_csr() @ x,
    "torch.mm(w.to_sparse(), x)": lambda w: torch.mm(w.to_sparse(), x),
    "torch.sparse.mm(w.to_sparse(), x)": lambda w: torch.sparse.mm(w.to_sparse(), x),
    "torch.sparse.mm(w.to_sparse_csr(), x)": lambda w: torch.sparse.mm(w.to_sparse_csr(), x),
    "torch.sparse.addmm(0, w.to_sparse(), x)": lambda w: torch.sparse.addmm(torch.zeros(2, 1), w.to_sparse(), x),
    "w.to_sparse().to_dense() @ x": lambda w: w.to_sparse().to_dense() @ x,
}
full, stored = [[1.0, 2.0, 4.0], [1.0, 2.0, 4.0]], [[1.0, 0.0, 4.0], [0.0, 0.0, 4.0]]
results = []
for name, product in products.items():
    w = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]], requires_grad=True)
    y = product(w)
    y.sum().backward()
    results.append(y.detach())
    found = w.grad.to_dense().tolist()
    print(f"{name:40} gradient {found}")
    expected = stored if "torch.sparse" in name or "to_dense" in name else full
    assert found == expected, f"the behaviour has changed: {name}"
assert all(torch.equal(result, results[0]) for result in results), "not the same product"
PYTHON
# Seen on 2026-11-29: gradient [[1, 2, 4], [1, 2, 4]] for `w @ x` dense, in COO and in CSR and for torch.mm; [[1, 0, 4], [0, 0, 4]] for
# torch.sparse.mm in COO and in CSR, torch.sparse.addmm and through to_dense().
