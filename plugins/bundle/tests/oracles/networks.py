"""The networks of networks.toml as PyTorch modules, with our names and initial weights, and what every script shares."""

import json
import sys
import tomllib
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class Mlp(nn.Module):
    def __init__(self, options, features=64, classes=4):
        super().__init__()
        self.flatten = nn.Flatten()
        widths = [features, *options["hidden"], classes]
        for i, (a, b) in enumerate(zip(widths, widths[1:]), 1):
            self.add_module(f"fc{i}", nn.Linear(a, b, bias=options.get("bias", False)))
            if i < len(widths) - 1:
                self.add_module(f"relu{i}", nn.ReLU())

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Cnn(nn.Module):
    def __init__(self, options):
        super().__init__()
        channels, side = [1, *options["channels"]], 8
        for i, (a, b) in enumerate(zip(channels, channels[1:]), 1):
            self.add_module(f"conv{i}", nn.Conv2d(a, b, 3, padding=1, bias=options.get("conv_bias", True)))
            if options.get("batch_norm"):
                self.add_module(f"norm{i}", nn.BatchNorm2d(b))
            self.add_module(f"conv_relu{i}", nn.ReLU())
            self.add_module(f"pool{i}", nn.MaxPool2d(2))
            side //= 2
        for name, layer in Mlp(options, channels[-1] * side * side).named_children():
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        fc1, fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.mlp = nn.ModuleDict({"fc1": fc1, "act": nn.GELU(approximate="tanh"), "fc2": fc2})

    def forward(self, x, ops):
        batch, tokens, dim = x.shape
        qkv = self.attn["qkv"](ops.norm(self.norm1, x)).reshape(batch, tokens, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        a = ops.weights(torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1)) @ v
        x = x + self.attn["proj"](a.transpose(1, 2).reshape(batch, tokens, dim))
        h = self.mlp["fc1"](ops.norm(self.norm2, x))
        return x + self.mlp["fc2"](ops.act(self.mlp["act"], h))


class Ops:
    """What a transformer computes between its linear layers; a script may hold some of it constant."""

    norm = staticmethod(lambda layer, x: layer(x))
    weights = staticmethod(lambda p: p)
    act = staticmethod(lambda layer, x: layer(x))


class Vit(nn.Module):
    """Pre-norm, the class token first; the pixels of a patch row by row."""

    def __init__(self, options, side=8, patch=4, classes=4):
        super().__init__()
        dim, self.side, self.ops = options["dim"], patch, Ops
        self.patch = nn.Linear(patch * patch, dim)
        self.class_token = nn.Parameter(torch.zeros(dim))
        self.position = nn.Parameter(torch.zeros((side // patch) ** 2 + 1, dim))
        hidden = round(options["mlp_ratio"] * dim)
        self.blocks = nn.ModuleList(Block(dim, options["heads"], hidden) for _ in range(options["depth"]))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)

    def forward(self, x):
        patches = nn.functional.unfold(x, self.side, stride=self.side).transpose(1, 2)
        x = self.patch(patches)
        x = torch.cat([self.class_token.expand(len(x), 1, -1), x], dim=1) + self.position
        for block in self.blocks:
            x = block(x, self.ops)
        return self.head(self.ops.norm(self.norm, x)[:, 0])


KINDS = {"mlp": Mlp, "cnn": Cnn, "vit": Vit}


class Inputs:
    """The batch and the networks that `cargo test -p secateur-bundle --test oracles -- --ignored` wrote."""

    def __init__(self, path):
        found = json.loads(Path(path).read_text())
        self.weights = found["networks"]
        self.x = torch.tensor(found["batch"]["data"]).reshape(found["batch"]["shape"])
        self.classes = torch.tensor(found["batch"]["classes"])
        self.options = tomllib.loads((HERE / "networks.toml").read_text())

    def network(self, name):
        """A fresh module in training mode."""
        options = self.options[name]
        module = KINDS[options["name"]](options)
        state = {n: torch.tensor(t["data"]).reshape(t["shape"]) for n, t in self.weights[name].items()}
        missing = module.load_state_dict(state, strict=False)
        assert not missing.unexpected_keys, missing
        assert all(n.endswith("num_batches_tracked") for n in missing.missing_keys), missing
        return module.train()


def best(scores, sparsity, rounding=lambda n: int(n + 1e-9)):
    """What is kept of {name: scores} ranked as one: the lowest `sparsity` of all go, ties by name and index."""
    ranked = sorted((s, name, i) for name in scores for i, s in enumerate(scores[name]))
    gone = {(name, i) for _, name, i in ranked[: rounding(sparsity * len(ranked))]}
    return {name: [i for i in range(len(scores[name])) if (name, i) not in gone] for name in scores}


def train(net, inputs, case, penalty=lambda net: 0.0):
    """As many full-batch steps of plain SGD as the case has, on the cross-entropy plus a penalty."""
    optimizer = torch.optim.SGD(net.parameters(), lr=case.get("train", {}).get("lr", 0.1))
    for _ in range(case["steps"]):
        optimizer.zero_grad()
        (nn.functional.cross_entropy(net(inputs.x), inputs.classes) + penalty(net)).backward()
        optimizer.step()


def write(family, answer):
    """Calls answer(inputs, name, case) for every case of FAMILY/cases.toml, and writes golden.json."""
    inputs = Inputs(sys.argv[1])
    cases = tomllib.loads((HERE / family / "cases.toml").read_text())
    found = {}
    for name, case in cases.items():
        scores, kept, *params = answer(inputs, name, case)
        flat = lambda values: [float(f"{v:.9g}") for v in torch.as_tensor(values).flatten().tolist()]
        lists = lambda all: {n: flat(values) for n, values in all.items()}
        found[name] = {"scores": lists(scores), "kept": kept} | {"params": lists(p) for p in params}
    text = json.dumps({"versions": versions(), "cases": found}, separators=(",", ":"))
    (HERE / family / "golden.json").write_text(text.replace('"kept":', '\n"kept":').replace('"scores":', '\n"scores":') + "\n")


def versions():
    from importlib.metadata import version

    names = ["torch", "torch-pruning", "captum", "zennit", "scikit-learn"]
    return {n: version(n) for n in names if n.replace("-", "_") in sys.modules or n in ("torch",)}
