"""Writes golden.json: what other implementations find for the cases of cases.toml.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Needs Python 3.11, PyTorch 2, captum 0.9.0 and zennit 0.5.1; golden.json says which versions made it.
"""

import sys
from pathlib import Path

import torch
from captum.attr import LayerLRP
from torch import nn
from zennit.composites import LayerMapComposite
from zennit.rules import AlphaBeta, Epsilon, Pass, ZPlus
from zennit.types import Activation, Convolution, Linear

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import Ops, best, write


class Plain(nn.Module):
    """A network without what the libraries have no rule for: flattening is no layer, batch norm part of its convolution."""

    def __init__(self, net, x):
        super().__init__()
        conv, before = None, None
        for name, layer in net.named_children():
            if isinstance(layer, nn.BatchNorm2d):
                fold(conv, layer, before)
            elif not isinstance(layer, nn.Flatten):
                if isinstance(layer, nn.Conv2d):
                    conv, before = layer, self(x).detach()
                self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x.flatten(1) if isinstance(layer, nn.Linear) else x)
        return x


def fold(conv, norm, x):
    """A convolution and the batch norm behind it as one convolution, with the statistics of the batch."""
    z = conv(x)
    scale = norm.weight / (z.var((0, 2, 3), unbiased=False) + norm.eps).sqrt()
    bias = norm.bias + scale * (conv.bias - z.mean((0, 2, 3)))
    conv.weight.data = (conv.weight * scale[:, None, None, None]).data
    conv.bias.data = bias.data


def start(criterion, logits, classes):
    """The relevance of the outputs."""
    which = criterion.get("start", "positive-outputs")
    if which == "positive-outputs":
        return logits.relu()
    chosen = classes if which == "true-class" else logits.argmax(1)
    return logits * nn.functional.one_hot(chosen, logits.shape[1])


def sizes(relevance):
    return relevance.abs().flatten(2).sum(2).sum(0) if relevance.dim() > 2 else relevance.abs().sum(0)


def hidden(net):
    return [(n, m) for n, m in net.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))][:-1]


def captum(inputs, net, criterion):
    target = inputs.classes if criterion["start"] == "true-class" else net(inputs.x).argmax(1)
    return {n: sizes(LayerLRP(net, m).attribute(inputs.x, target=target)) for n, m in hidden(net)}


def zennit(inputs, net, criterion):
    zero = [] if criterion.get("bias") == "absorb" else ["bias"]
    eps = criterion.get("epsilon", 1e-9)
    rules = {
        "epsilon": lambda: Epsilon(epsilon=eps, zero_params=zero),
        "z-plus": lambda: ZPlus(stabilizer=eps, zero_params=zero),
        "alpha-beta": lambda: AlphaBeta(
            criterion.get("alpha", 2.0), criterion.get("beta", 1.0), stabilizer=eps, zero_params=zero
        ),
    }
    rule = rules[criterion.get("rule", "z-plus")]()
    outputs = {}

    def store(name):
        def hook(module, _, output):
            outputs[name] = output
            output.retain_grad()

        return hook

    handles = [m.register_forward_hook(store(n)) for n, m in hidden(net)]
    composite = LayerMapComposite([(Activation, Pass()), (Convolution, rule), (Linear, rule)])
    with composite.context(net) as modified:
        x = inputs.x.clone().requires_grad_()
        logits = modified(x)
        sent = start(criterion, logits.detach(), inputs.classes)
        logits.backward(sent)
    [h.remove() for h in handles]
    found = {n: outputs[n].grad for n, _ in hidden(net)}
    # Where an output has contributions of one sign only, zennit loses, turns or doubles what it is owed: no such case.
    sums = [sent.sum(), *(r.sum() for r in reversed(found.values()))]
    assert zero == [] or all(torch.isclose(r, sums[0], rtol=1e-6) for r in sums), sums
    return {n: sizes(r) for n, r in found.items()}


class Held(Ops):
    """Attention weights and deviations are constants, an activation is a factor that is one."""

    @staticmethod
    def norm(layer, x):
        deviation = (x.var(-1, unbiased=False, keepdim=True) + layer.eps).sqrt().detach()
        return (x - x.mean(-1, keepdim=True)) / deviation * layer.weight + layer.bias

    @staticmethod
    def weights(p):
        return p.detach()

    @staticmethod
    def act(layer, x):
        return x * (layer(x) / x).detach()


def transformer(inputs, net, criterion):
    net.ops, outputs = Held, {}

    def store(name):
        def hook(module, _, output):
            outputs[name] = output
            output.retain_grad()

        return hook

    [m.register_forward_hook(store(n)) for n, m in net.named_modules() if isinstance(m, nn.Linear)]
    logits = net(inputs.x)
    # Relevance is the derivative of what it started from, times the value.
    chosen = nn.functional.one_hot(inputs.classes, logits.shape[1])
    (logits * chosen).sum().backward()
    found = {}
    for i, block in enumerate(net.blocks):
        qkv = outputs[f"blocks.{i}.attn.qkv"]
        value = (qkv * qkv.grad).abs().sum((0, 1)).reshape(3, block.heads, -1)
        found[f"blocks.{i}.heads"] = value.sum((0, 2))
        found[f"blocks.{i}.head_dim"] = value.sum((0, 1))
        h = outputs[f"blocks.{i}.mlp.fc1"]
        found[f"blocks.{i}.mlp"] = (h * h.grad).abs().sum((0, 1))
    return found


def answer(inputs, name, case):
    net, criterion = inputs.network(case["network"]), case["criterion"]
    if case["network"] == "vit":
        scores = transformer(inputs, net, criterion)
    else:
        net = Plain(net, inputs.x)
        scores = (captum if name.startswith("captum") else zennit)(inputs, net, criterion)
    kept = {}
    for group, found in scores.items():
        kept |= best({group: found.tolist()}, case["sparsity"])
    return scores, kept


write("relevance", answer)
