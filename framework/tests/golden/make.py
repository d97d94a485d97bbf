"""Writes torch.json: small inputs, and what PyTorch computes from them, forward and backward.

Every case holds its tensors as {"shape": [...], "data": [...]}; gradients (`d...`) are those of sum(y * dy).
Run with any PyTorch 2: python3 make.py
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(0)
CASES = {}


def rand(*shape):
    return torch.randn(*shape) * 0.7


def number(x):
    return float(f"{x:.8g}")


def store(tensor):
    return {"shape": list(tensor.shape), "data": [number(v) for v in tensor.detach().flatten().tolist()]}


def case(name, inputs, f, constants=None, **options):
    """Records f of the inputs, and the gradient of every input."""
    leaves = {k: v.clone().requires_grad_() for k, v in inputs.items()}
    constants = constants or {}
    y = f(**leaves, **constants)
    dy = rand(*y.shape) if y.dim() else torch.tensor(1.0)
    y.backward(dy)
    tensors = {**inputs, **constants, "y": y, "dy": dy} | {f"d{k}": v.grad for k, v in leaves.items()}
    CASES[name] = {"options": options, **{k: store(v.reshape(1) if v.dim() == 0 else v) for k, v in tensors.items()}}


for stride, padding in [(1, 1), (2, 1), (1, 0), (3, 2)]:
    case(
        f"conv2d-{stride}-{padding}",
        {"x": rand(2, 3, 7, 6), "w": rand(4, 3, 3, 3), "b": rand(4)},
        lambda x, w, b: F.conv2d(x, w, b, stride, padding),
        stride=stride,
        padding=padding,
        groups=1,
    )
case(
    "conv2d-relu-pool",
    {"x": rand(2, 3, 7, 6), "w": rand(4, 3, 3, 3), "b": rand(4)},
    lambda x, w, b: F.max_pool2d(F.relu(F.conv2d(x, w, b, 1, 1)), 2),
)
for kernel, stride, padding in [(4, 2, 1), (3, 1, 1), (2, 3, 0)]:
    case(
        f"conv-transpose2d-{kernel}-{stride}-{padding}",
        {"x": rand(2, 3, 4, 3), "w": rand(3, 2, kernel, kernel), "b": rand(2)},
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride, padding),
        stride=stride,
        padding=padding,
    )
for kernel, stride, padding in [(2, 2, 0), (3, 2, 1), (3, 1, 1)]:
    options = {"kernel": kernel, "stride": stride, "padding": padding}
    case(f"max-pool-{kernel}-{stride}", {"x": rand(2, 2, 6, 7)}, lambda x: F.max_pool2d(x, kernel, stride, padding), **options)
    case(f"mean-pool-{kernel}-{stride}", {"x": rand(2, 2, 6, 7)}, lambda x: F.avg_pool2d(x, kernel, stride, padding), **options)
for shape in [(4, 3, 3, 2), (5, 3)]:
    mean, var = rand(3), rand(3).abs() + 0.5
    running = {"mean": mean.clone(), "var": var.clone()}
    name = f"batch-norm-{len(shape)}d"
    inputs = {"x": rand(*shape), "w": rand(3), "b": rand(3)}
    case(name, inputs, lambda x, w, b: F.batch_norm(x, running["mean"], running["var"], w, b, True, 0.1, 1e-5))
    CASES[name] |= {"mean": store(mean), "var": store(var)}
    CASES[name] |= {"next_mean": store(running["mean"]), "next_var": store(running["var"])}
    case(
        f"{name}-evaluation",
        inputs,
        lambda x, w, b, mean, var: F.batch_norm(x, mean, var, w, b, False, 0.1, 1e-5),
        {"mean": mean, "var": var},
    )
case("layer-norm", {"x": rand(5, 6), "w": rand(6), "b": rand(6)}, lambda x, w, b: F.layer_norm(x, (6,), w, b, 1e-5))
case("gelu-exact", {"x": rand(4, 6) * 3}, lambda x: F.gelu(x))
case("gelu-tanh", {"x": rand(4, 6) * 3}, lambda x: F.gelu(x, approximate="tanh"))


def attention(qkv, sizes=None):
    batch, tokens, heads, dim = 2, 5, 2, 3
    q, k, v = qkv.reshape(batch, tokens, 3, heads, dim).permute(2, 0, 3, 1, 4)
    bias = None if sizes is None else sizes.log()[:, None, None, :].expand(batch, heads, tokens, tokens)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=dim**-0.5)
    return y.transpose(1, 2).reshape(batch * tokens, heads * dim)


case("attention", {"qkv": rand(10, 18)}, attention)
case("attention-sizes", {"qkv": rand(10, 18)}, attention, {"sizes": torch.randint(1, 5, (2, 5)).float()})
case(
    "bce-logits",
    {"x": rand(3, 2, 4, 4) * 3},
    lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"),
    {"t": torch.rand(3, 2, 4, 4)},
)
case("bce-sigmoid", {"x": rand(3, 8)}, lambda x, t: F.binary_cross_entropy(x.sigmoid(), t, reduction="sum"), {"t": torch.rand(3, 8)})
case(
    "gaussian-kld",
    {"mu": rand(3, 5), "logvar": rand(3, 5)},
    lambda mu, logvar: -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()),
)
case(
    "reparametrise",
    {"mu": rand(3, 5), "logvar": rand(3, 5)},
    lambda mu, logvar, noise: mu + noise * torch.exp(0.5 * logvar),
    {"noise": torch.randn(3, 5)},
)
# Behind all others, whose random numbers stay what they were.
for groups, outputs, stride, padding in [(4, 4, 1, 1), (4, 8, 2, 1), (2, 6, 1, 1), (2, 4, 2, 2)]:
    case(
        f"conv2d-groups-{groups}-{outputs}-{stride}",
        {"x": rand(2, 4, 7, 6), "w": rand(outputs, 4 // groups, 3, 3), "b": rand(outputs)},
        lambda x, w, b: F.conv2d(x, w, b, stride, padding, groups=groups),
        stride=stride,
        padding=padding,
        groups=groups,
    )
case("relu6", {"x": rand(4, 6) * 8}, lambda x: F.relu6(x))
case(
    "conv2d-depthwise-relu6",
    {"x": rand(2, 4, 7, 6) * 4, "w": rand(4, 1, 3, 3), "b": rand(4)},
    lambda x, w, b: F.relu6(F.conv2d(x, w, b, 2, 1, groups=4)),
)

out = {"torch": torch.__version__.split("+")[0], "cases": CASES}
text = json.dumps(out, separators=(",", ":")).replace('},"', '},\n"')
Path(__file__).with_name("torch.json").write_text(text + "\n")
