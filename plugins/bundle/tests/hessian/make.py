"""Writes torch.json: Hessian-vector products and GraSP's scores by differentiating twice in PyTorch, in double precision.

Weights, inputs and vectors follow from `numbers`, which main.rs repeats; the file holds what PyTorch computes from them.
Run with any PyTorch 2: python3 make.py
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def numbers(count, salt):
    """Numbers in (-1, 1) without a pattern, as single precision holds them."""
    x = [(((i * 7919 + salt * 104729 + 1) % 10007) + 0.5) / 5003.5 - 1.0 for i in range(count)]
    return torch.tensor(x).float().double()


def fill(shapes):
    """Parameters by name: weights of the size that keeps activations of theirs, other parameters around their usual values."""
    params = {}
    for salt, (name, shape) in enumerate(sorted(shapes.items())):
        x = numbers(torch.Size(shape).numel(), salt).reshape(shape)
        fan = x[0].numel() if x.dim() > 1 else 1
        if "norm" in name:
            scale, shift = 0.25, 1.0 if name.endswith("weight") else 0.0
        else:
            scale, shift = ((3.0 / fan) ** 0.5 if x.dim() > 1 else 0.25), 0.0
        params[name] = (x.float() * scale + shift).double().requires_grad_()
    return params


def mlp(act, p, x, layers=3):
    x = x.flatten(1)
    for i in range(1, layers + 1):
        x = F.linear(x, p[f"fc{i}.weight"], p[f"fc{i}.bias"])
        x = act(x) if i < layers else x
    return x


def cnn(p, x):
    for i in (1, 2):
        x = F.conv2d(x, p[f"conv{i}.weight"], None, 1, 1)
        x = F.batch_norm(x, None, None, p[f"norm{i}.weight"], p[f"norm{i}.bias"], True, 0.1, 1e-5)
        x = F.max_pool2d(F.relu(x), 2)
    x = F.relu(F.linear(x.flatten(1), p["fc1.weight"], p["fc1.bias"]))
    return F.linear(x, p["fc2.weight"], p["fc2.bias"])


def vit(p, x, depth=2, dim=8, heads=2, patch=4):
    n = x.shape[0]
    x = F.unfold(x, patch, stride=patch).transpose(1, 2)
    x = F.linear(x, p["patch.weight"], p["patch.bias"])
    x = torch.cat([p["class_token"].expand(n, 1, dim), x], 1) + p["position"]
    norm = lambda x, name: F.layer_norm(x, (dim,), p[f"{name}.weight"], p[f"{name}.bias"], 1e-5)
    linear = lambda x, name: F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])
    for i in range(depth):
        b = f"blocks.{i}"
        q, k, v = linear(norm(x, f"{b}.norm1"), f"{b}.attn.qkv").reshape(n, -1, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        a = torch.softmax(q @ k.transpose(-1, -2) * (dim // heads) ** -0.5, -1) @ v
        x = x + linear(a.transpose(1, 2).flatten(2), f"{b}.attn.proj")
        x = x + linear(F.gelu(linear(norm(x, f"{b}.norm2"), f"{b}.mlp.fc1"), approximate="tanh"), f"{b}.mlp.fc2")
    return linear(norm(x, "norm")[:, 0], "head")


def mlp_shapes(*widths):
    shapes = {}
    for i, (a, b) in enumerate(zip(widths, widths[1:]), 1):
        shapes |= {f"fc{i}.weight": (b, a), f"fc{i}.bias": (b,)}
    return shapes


CNN = {"conv1.weight": (4, 1, 3, 3), "conv2.weight": (6, 4, 3, 3)} | {
    f"norm{i}.{part}": (n,) for i, n in ((1, 4), (2, 6)) for part in ("weight", "bias")
}
CNN |= mlp_shapes(6 * 2 * 2, 10, 4)
VIT = {"patch.weight": (8, 16), "patch.bias": (8,), "class_token": (8,), "position": (5, 8), "norm.weight": (8,), "norm.bias": (8,)}
VIT |= {"head.weight": (4, 8), "head.bias": (4,)}
for i in range(2):
    of = {"norm1": (8,), "attn.qkv": (24, 8), "attn.proj": (8, 8), "norm2": (8,), "mlp.fc1": (16, 8), "mlp.fc2": (8, 16)}
    for name, shape in of.items():
        VIT |= {f"blocks.{i}.{name}.weight": shape, f"blocks.{i}.{name}.bias": (shape[0],)}

def product(net, shapes, temperature, vector=None, examples=12):
    """Parameters, and the Hessian times the vector (the gradient itself where there is none)."""
    params = fill(shapes)
    inputs = numbers(examples * 64, 100).reshape(examples, 1, 8, 8)
    loss = F.cross_entropy(net(params, inputs) / temperature, torch.arange(examples) % 4)
    grads = torch.autograd.grad(loss, params.values(), create_graph=True)
    if vector is None:
        vector = [g.detach() for g in grads]
    hv = torch.autograd.grad(sum((g * v).sum() for g, v in zip(grads, vector)), params.values(), materialize_grads=True)
    return params, dict(zip(params, hv))


def vector(shapes):
    """Some direction in which every parameter takes part."""
    return [numbers(torch.Size(s).numel(), 50 + i).reshape(s) for i, (_, s) in enumerate(sorted(shapes.items()))]


def number(x):
    return float(f"{x:.9g}")


CASES = {}
for name, net, shapes, temperature in [
    ("mlp-relu", lambda p, x: mlp(F.relu, p, x), mlp_shapes(64, 10, 8, 4), 1.0),
    ("mlp-gelu", lambda p, x: mlp(lambda x: F.gelu(x, approximate="tanh"), p, x), mlp_shapes(64, 10, 8, 4), 1.0),
    ("mlp-relu-cold", lambda p, x: mlp(F.relu, p, x), mlp_shapes(64, 10, 8, 4), 200.0),
    ("cnn", cnn, CNN, 1.0),
    ("vit", vit, VIT, 1.0),
]:
    for which, direction in (("given", vector(shapes)), ("gradient", None)):
        _, hv = product(net, shapes, temperature, direction)
        CASES[f"{name}-{which}"] = {k: [number(v) for v in t.flatten().tolist()] for k, t in hv.items()}

# GraSP (Wang et al. 2020) removes the highest of -theta (H g): 2 % of the weights of a network of ReLUs stay.
GRASP = mlp_shapes(64, 40, 30, 4)
params, hg = product(lambda p, x: mlp(F.relu, p, x), GRASP, 200.0, examples=200)
weights = sorted(n for n in params if n.endswith(".weight"))
scores = torch.cat([(params[n] * hg[n]).flatten() for n in weights])
keep = scores.numel() - int(0.98 * scores.numel())
order = scores.argsort(descending=True)
CASES["grasp-kept"] = {"indices": sorted(order[:keep].tolist())}

out = {"torch": torch.__version__.split("+")[0], "cases": CASES}
text = json.dumps(out, separators=(",", ":")).replace('},"', '},\n"').replace('],"', '],\n"')
Path(__file__).with_name("torch.json").write_text(text + "\n")
