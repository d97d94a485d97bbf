"""Writes golden.json: what autograd and torch-pruning find for the cases of cases.toml, in double precision.

    SECATEUR_ORACLES="$PWD/inputs.json" cargo test -p secateur-bundle --test oracles -- --ignored
    python3 make.py "$PWD/inputs.json"

Needs Python 3.11, PyTorch 2 and torch-pruning 1.6.1; golden.json says which versions made it.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
import torch_pruning as tp

sys.path.insert(0, str(Path(__file__).parents[1]))
from networks import best, write


def loss(net, inputs, temperature=1.0):
    return F.cross_entropy(net(inputs.x) / temperature, inputs.classes)


def weights(net):
    """Everything that could be pruned, the output layer too, by name."""
    return {n: p for n, p in net.named_parameters() if p.dim() > 1 and n != "position"}


def gradients(net, inputs, **rest):
    """Weights and gradients of one pass, by name."""
    found = weights(net)
    return found, dict(zip(found, torch.autograd.grad(loss(net, inputs, **rest), list(found.values()))))


def hidden(scores):
    """Without the output layer, which is not pruned."""
    return dict(list(scores.items())[:-1])


def trained(net, inputs, case, see=lambda: None):
    """Plain gradient descent; `see` is called between each backward pass and its update."""
    for _ in range(case["steps"]):
        net.zero_grad()
        loss(net, inputs).backward()
        see()
        with torch.no_grad():
            for p in net.parameters():
                p -= case["train"]["lr"] * p.grad


def snip(net, inputs, case):
    # Batches that are averaged are the whole training set in the end.
    w, g = gradients(net, inputs)
    return {n: (w[n] * g[n]).abs() for n in w}


def grasp(net, inputs, case):
    w = weights(net)
    objective = loss(net, inputs, case["criterion"].get("temperature", 200.0))
    g = torch.autograd.grad(objective, list(w.values()), create_graph=True)
    flow = sum((a * a.detach()).sum() for a in g)
    return {n: w[n] * hg for n, hg in zip(w, torch.autograd.grad(flow, list(w.values())))}


def synflow(net, inputs, case):
    """The scores of the last round, and what it keeps."""
    names = list(hidden(weights(net)))
    with torch.no_grad():
        for name, p in net.named_parameters():
            no_bias = name.endswith("bias") and not case["criterion"].get("biases")
            p.copy_(torch.zeros_like(p) if no_bias else p.abs())
    net.eval()
    kept = {n: torch.ones_like(weights(net)[n]) for n in names}
    total = sum(m.numel() for m in kept.values())
    end, rounds = total - int(case["sparsity"] * total + 1e-9), case["prune"]["rounds"]
    for k in range(1, rounds + 1):
        net.zero_grad()
        net(torch.ones_like(inputs.x[:1])).sum().backward()
        scores = {n: weights(net)[n].detach() * weights(net)[n].grad for n in names}
        flat = torch.cat([torch.where(kept[n] > 0, scores[n], -torch.inf).flatten() for n in names])
        stay = flat.argsort()[total - round(total * (end / total) ** (k / rounds)) :]
        marks = torch.zeros(total).index_fill(0, stay, 1.0).split([m.numel() for m in kept.values()])
        kept = {n: m.reshape(kept[n].shape) for n, m in zip(names, marks)}
        with torch.no_grad():
            for n in names:
                weights(net)[n].mul_(kept[n])
    return scores, {n: m.flatten().nonzero().flatten().tolist() for n, m in kept.items()}


def obd(net, inputs, case):
    if case["criterion"].get("fisher") == "batches":
        seen = []
        trained(net, inputs, case, lambda: seen.append({n: (p.detach().clone(), p.grad) for n, p in weights(net).items()}))
        return {n: seen[-1][n][0] ** 2 / 2 * sum(s[n][1] ** 2 for s in seen) / len(seen) for n in seen[-1]}
    if "steps" in case:
        trained(net, inputs, case)
    net.eval()
    w = weights(net)
    fisher = {n: torch.zeros_like(p) for n, p in w.items()}
    for x, y in zip(inputs.x, inputs.classes):
        g = torch.autograd.grad(F.cross_entropy(net(x[None]), y[None]), list(w.values()))
        for n, g in zip(w, g):
            fisher[n] += g**2 / len(inputs.x)
    return {n: w[n] ** 2 * fisher[n] / 2 for n in w}


def movement(net, inputs, case):
    total = {n: torch.zeros_like(p) for n, p in weights(net).items()}

    def see():
        for n, p in weights(net).items():
            total[n] -= p.detach() * p.grad

    trained(net, inputs, case, see)
    return total


def taylor(net, inputs, case):
    w, g = gradients(net, inputs)
    return {n: (w[n] * g[n]).abs() for n in w}


def squares_over_steps(net, inputs, case):
    total = {n: torch.zeros_like(p) for n, p in weights(net).items()}

    def see():
        for n, p in weights(net).items():
            total[n] += (p.detach() * p.grad) ** 2 / case["steps"]

    trained(net, inputs, case, see)
    return total


def importance(net, inputs, joint):
    """TaylorImportance of the first layer of every group."""
    graph = tp.DependencyGraph().build_dependency(net, inputs.x)
    loss(net, inputs).backward()
    layers = [(n, m) for n, m in net.named_modules() if hasattr(m, "weight") and m.weight.dim() > 1][:-1]
    score = tp.importance.TaylorImportance(group_reduction="first", normalizer=None, multivariable=joint)
    found = {}
    for n, m in layers:
        out = tp.prune_linear_out_channels if isinstance(m, torch.nn.Linear) else tp.prune_conv_out_channels
        found[n] = score(graph.get_pruning_group(m, out, idxs=list(range(len(m.weight)))))
    return found


def of_vit(net, of):
    """Numbers of the units of a ViT's groups: `of(layer)` gives `[rows, outputs]`, which are summed up by unit."""
    heads, found = net.heads, {}
    for i in range(net.depth):
        qkv = of(f"blocks.{i}.attn.qkv")
        qkv = qkv.reshape(len(qkv), 3, heads, -1)
        found[f"blocks.{i}.heads"] = qkv.sum((1, 3))
        found[f"blocks.{i}.head_dim"] = qkv.sum((1, 2))
        found[f"blocks.{i}.mlp"] = of(f"blocks.{i}.mlp.fc1")
    return found


def joint_squares(net, inputs, case):
    total = {}

    def see():
        p = weights(net)
        change = lambda layer: (p[f"{layer}.weight"].detach() * p[f"{layer}.weight"].grad).sum(1)[None]
        for n, v in of_vit(net, change).items():
            total[n] = total.get(n, 0) + v[0] ** 2 / case["steps"]

    trained(net, inputs, case, see)
    return total


def feature_maps(net, inputs, case):
    """|mean of z dC/dz| for every example, C its own loss, averaged over examples and steps, by layer."""
    maps, total, steps = {}, {}, case.get("steps", 1)

    def keep(name):
        def hook(module, args, output):
            output.retain_grad()
            maps[name] = output

        return hook

    # The activations; a ViT's layers that compute units, of which only those of the MLP have one.
    for name, module in net.named_modules():
        if name.startswith(("conv_relu", "relu")):
            module.register_forward_hook(keep(name.replace("conv_relu", "conv").replace("relu", "fc")))
        elif name.endswith(("attn.qkv", "mlp.act")):
            module.register_forward_hook(keep(name.replace("mlp.act", "mlp.fc1")))

    def see():
        n = len(inputs.x)
        change = {name: n * z.detach() * z.grad for name, z in maps.items()}
        if hasattr(net, "heads"):
            means = {name: v.mean(1) for name, v in change.items()}
            found = of_vit(net, lambda layer: means[layer])
            # A head's mean runs over its q, k and v.
            size = means["blocks.0.attn.qkv"].shape[1]
            per_unit = lambda name, v: size / v.shape[1] if name.endswith(("heads", "head_dim")) else 1
            found = {name: v / per_unit(name, v) for name, v in found.items()}
        else:
            found = {name: v.flatten(2).mean(2) if v.dim() > 2 else v for name, v in change.items()}
        for name, v in found.items():
            total[name] = total.get(name, 0) + v.abs().mean(0) / steps

    if "steps" in case:
        trained(net, inputs, case, see)
    else:
        loss(net, inputs).backward()
        see()
    return total


def of_units(scores):
    """Sums over the weights of a unit, by group."""
    return {n.removesuffix(".weight"): s.flatten(1).sum(1) for n, s in hidden(scores).items()}


def by_layer(scores, sparsity):
    return {n: best({n: s.tolist()}, sparsity)[n] for n, s in scores.items()}


def answer(inputs, name, case):
    net, sparsity = inputs.network(case["network"]), case["sparsity"]
    if name.startswith("synflow"):
        return synflow(net, inputs, case)
    if name in ("taylor-units", "taylor-units-joint"):
        found = importance(net, inputs, joint=name.endswith("joint"))
        return found if name.endswith("joint") else {}, by_layer(found, sparsity)
    if name.startswith("taylor-maps"):
        found = feature_maps(net, inputs, case)
        if case["prune"].get("scope") == "layer":
            return found, by_layer(found, sparsity)
        return found, best({n: (s / s.norm()).tolist() for n, s in found.items()}, sparsity)
    if name == "taylor-units-square":
        found = joint_squares(net, inputs, case)
        return found, by_layer(found, sparsity)
    how = {"taylor-steps": squares_over_steps}.get(name) or globals()[case["criterion"]["name"]]
    scores = how(net, inputs, case)
    if case.get("prune", {}).get("granularity") == "unit":
        return hidden(scores), by_layer(of_units(scores), sparsity)
    return hidden(scores), best({n: s.flatten().tolist() for n, s in hidden(scores).items()}, sparsity)


write("gradients", answer)
