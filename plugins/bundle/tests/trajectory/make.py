"""Writes torch.json: what PyTorch comes to, in double precision, in every run of cases.toml from our initial weights,
and what it would come to with conventions that are not ours.

First our side writes the images, the initial weights and the noise of samples, then this reads them:

    SECATEUR_TRAJECTORY="$PWD/inputs.json" cargo test -p secateur-bundle --test trajectory -- --ignored
    python3 make.py "$PWD/inputs.json"

Needs Python 3.11 and PyTorch 2; torch.json says which version made it. Every update is torch.optim's own, every layer
torch.nn.functional's; only merging, masks and what is cut are written here, from their papers.
"""

import json
import math
import sys
import tomllib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    SequentialLR,
    StepLR,
)

from networks import Network, Rules

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
STEPS = 50
# Conventions of other libraries, and mistakes: name, the case in which it shows, and what is changed.
OTHER = [
    ("exact GELU for its tanh form", "gelu", Rules(gelu="none")),
    ("exact GELU for its tanh form in a transformer", "vit", Rules(gelu="none")),
    ("tanh form for the exact GELU", "gelu-exact", None),
    ("weight decay on norms, biases and positions", "vit", Rules(decay_everything=True)),
    ("weight decay on norms and biases", "batch-norm", Rules(decay_everything=True)),
    ("weight decay on biases", "sgd-decay", Rules(decay_everything=True)),
    ("layer norm with eps 1e-6", "vit-mean", Rules(norm_eps=1e-6)),
    ("batch norm with eps 1e-6", "batch-norm", Rules(norm_eps=1e-6)),
    ("running variance without Bessel's correction", "batch-norm", Rules(biased_running_variance=True)),
    ("warm-up from 0", "warmup", Rules(warmup_from_zero=True)),
    ("warm-up from 0 before a cosine", "cosine-warmup", Rules(warmup_from_zero=True)),
    ("a cosine that ends at the last step", "cosine", Rules(cosine_ends_at_last_step=True)),
    ("steps counted from the end of the warm-up", "step-warmup", Rules(steps_count_from_warmup=True)),
    ("coupled for decoupled decay", "adamw", Rules(coupled_decay=True)),
    ("coupled for decoupled decay in a transformer", "vit", Rules(coupled_decay=True)),
    ("the root of eps for eps in Adam", "vit", Rules(root_of_adam_eps=True)),
    ("dampening", "sgd-momentum", Rules(dampening=0.9)),
    ("plain momentum for Nesterov's", "sgd-nesterov", Rules(nesterov_as_momentum=True)),
    ("smoothing over the other classes alone", "smoothing", Rules(smoothing_over_others=True)),
    ("half the squared error", "regression", Rules(half_the_square=True)),
    ("classes 0 and 1 as targets", "squared-error", Rules(classes_from_zero=True)),
    ("each gradient clipped by its own norm", "clipping", Rules(clip_each=True)),
    ("merged tokens that count once in attention", "merging-blocks", Rules(proportional_attention=False)),
    ("merged tokens that count once in the mean", "merging-twice", Rules(mean_by_size=False)),
    ("no gradient for pruned weights that may return", "dynamic", Rules(gradient_through_mask=False)),
    ("pruning before the update of its step", "held", Rules(prune_before_update=True)),
    ("a ranking in each layer for one over all", "held-cubic", Rules(prune_by_layer=True)),
    ("moments kept over a pruning step that forgets them", "held-fresh", Rules(keep_optimizer=True)),
    ("first masks after the first update", "held-start", Rules(first_masks_after_update=True)),
    ("weights after the update of the step that is gone back to", "tickets", Rules(rewind_to_after_update=True)),
    ("moments kept over a rewind", "tickets", Rules(keep_optimizer=True)),
    ("one learning rate schedule over all rounds", "tickets", Rules(one_rate_over_rounds=True)),
    ("a weight that is dropped and grown at once begins at zero", "rigl", Rules(grown_again_begin_at_zero=True)),
    ("no growth of what was just dropped", "granet", Rules(dropped_may_not_grow=True)),
    ("a number of grown weights that is rounded down", "rigl", Rules(round_growth_down=True)),
    ("moments of masked weights that go on", "rigl", Rules(moments_go_on_behind_masks=True)),
    ("moments of masked weights that go on in Adam", "rigl-adam", Rules(moments_go_on_behind_masks=True)),
    ("a fraction that stays", "rigl", Rules(fraction_stays=True)),
    ("growth before the update of its step", "rigl-cnn", Rules(prune_before_update=True)),
    ("weights that learn until they return", "ac-dc", Rules(returning_weights_learn=True)),
    ("new channels in front of the old ones", "resnet", Rules(pad_before=True)),
    ("ReLU for ReLU6", "mobilenet-v2", Rules(relu_for_relu6=True)),
    ("a shortcut of what stands before the normalisation", "wide-resnet", Rules(shortcut_of_raw=True)),
]


class Run:
    """One run: parameters, masks, optimizer, and 50 steps."""

    def __init__(self, case, given, rules):
        self.case, self.rules, self.given = case, rules, given
        tensors = {name: tensor(t) for name, t in given["weights"]}
        running = lambda name: name.endswith(("running_mean", "running_var"))
        self.buffers = {name: t for name, t in tensors.items() if running(name)}
        self.params = {name: t.requires_grad_() for name, t in tensors.items() if not running(name)}
        self.order, self.masks = list(tensors), {}
        self.train, self.prune, self.grow = (case.get(key, {}) for key in ("train", "prune", "grow"))
        self.returns = self.prune.get("regrow_from") == "zero" and not rules.returning_weights_learn
        self.held = self.returns or not self.prune.get("regrow", False)
        self.tickets = case["schedule"] if case.get("schedule", {}).get("name") == "lottery" else None
        self.end = self.tickets["epochs_per_round"] if self.tickets and not rules.one_rate_over_rounds else STEPS
        self.net = Network(case, rules, self.weight, self.buffers)
        self.images, self.test = (tensor(given[split]) for split in ("train", "test"))
        self.classes, self.test_classes = (targets(given[split]) for split in ("train", "test"))
        self.closest = float("inf")
        self.optimizer = self.make_optimizer()
        self.scheduler = self.make_scheduler()

    def weight(self, name):
        """A parameter as the forward pass sees it: masked, and with gradients for pruned weights that may return."""
        p, mask = self.params.get(name), self.masks.get(name)
        # Growth wants the gradients of what is held at zero.
        if mask is None or self.grow:
            return p
        straight_through = not self.held and self.rules.gradient_through_mask
        return p + (p * mask - p).detach() if straight_through else p * mask

    def make_optimizer(self):
        t, rules = self.train, self.rules
        lr, decay = t.get("lr", 0.1), t.get("weight_decay", 0.0)
        decays = lambda name, p: rules.decay_everything or (name.endswith(".weight") and p.dim() > 1)
        split = {True: [], False: []}
        for name, p in self.params.items():
            split[decays(name, p)].append(p)
        groups = [{"params": split[True], "weight_decay": decay}, {"params": split[False], "weight_decay": 0.0}]
        kind = t.get("optimizer", "sgd")
        if kind == "sgd":
            nesterov = t.get("nesterov", False) and not rules.nesterov_as_momentum
            return torch.optim.SGD(groups, lr, t.get("momentum", 0.0), rules.dampening, nesterov=nesterov)
        make = torch.optim.AdamW if kind == "adamw" and not rules.coupled_decay else torch.optim.Adam
        eps = t.get("eps", 1e-8) ** (0.5 if rules.root_of_adam_eps else 1)
        return make(groups, lr, (t.get("beta1", 0.9), t.get("beta2", 0.999)), eps)

    def make_scheduler(self):
        t, kind, warm = self.train, self.train.get("lr_schedule", "constant"), int(self.train.get("lr_warmup", 0))
        length = self.end - warm - int(self.rules.cosine_ends_at_last_step)
        make = {
            "constant": lambda: ConstantLR(self.optimizer, 1.0, 0),
            "cosine": lambda: CosineAnnealingLR(self.optimizer, length, t.get("lr_min", 0.0)),
            "step": lambda: StepLR(self.optimizer, int(t["lr_step"]), t["lr_gamma"]),
        }[kind]
        if not warm:
            return make()
        if self.rules.warmup_from_zero:
            up = LambdaLR(self.optimizer, lambda step: min(1.0, step / warm))
        else:
            up = LinearLR(self.optimizer, 1 / warm, 1.0, warm - 1)
        if kind == "step" and not self.rules.steps_count_from_warmup:
            return ChainedScheduler([up, make()])
        return SequentialLR(self.optimizer, [up, make()], [warm])

    def loss(self, images, classes, smoothing=0.0, noise=None):
        if self.case["model"]["name"] == "vae":
            return self.net.forward(images, noise)
        logits = self.net.forward(images)
        if self.train.get("loss") == "binary":
            return F.binary_cross_entropy_with_logits(logits.squeeze(1), classes.double())
        if self.train.get("loss") == "squared-error":
            signs = classes if self.rules.classes_from_zero else 2 * classes - 1
            error = F.mse_loss(logits.squeeze(1), classes if classes.is_floating_point() else signs.double())
            return error / 2 if self.rules.half_the_square else error
        if smoothing and self.rules.smoothing_over_others:
            others = logits.shape[1] - 1
            targets = F.one_hot(classes, others + 1) * (1 - smoothing - smoothing / others) + smoothing / others
            return F.cross_entropy(logits, targets)
        return F.cross_entropy(logits, classes, label_smoothing=smoothing)

    def go(self):
        noise = tensor(self.given["noise"]) if "noise" in self.given else [None] * STEPS
        losses, limit = [], self.train.get("clip_norm")
        if not self.rules.first_masks_after_update:
            self.prune_at(-1)
        for step in range(STEPS):
            self.keep_early(step)
            if self.rules.prune_before_update:
                self.prune_at(step)
            self.optimizer.zero_grad()
            loss = self.loss(self.images, self.classes, self.train.get("label_smoothing", 0.0), noise[step])
            losses.append(loss.item())
            loss.backward()
            if limit:
                together = [[p] for p in self.params.values()] if self.rules.clip_each else [self.params.values()]
                for params in together:
                    torch.nn.utils.clip_grad_norm_(params, limit)
            self.optimizer.step()
            self.scheduler.step()
            self.hold()
            if not self.rules.prune_before_update:
                self.prune_at(step)
            if step == 0 and self.rules.first_masks_after_update:
                self.prune_at(-1)
        self.net.training = False
        with torch.no_grad():
            losses.append(self.loss(self.test, self.test_classes).item())
            seen = {name: self.weight(name) for name in self.params} | self.buffers
            weights = {name: checksum(seen[name]) for name in self.order}
        found = {"losses": [number(v) for v in losses], "weights": weights}
        if self.grow:
            found["kept"] = {n: mask.flatten().nonzero().flatten().tolist() for n, mask in self.masks.items()}
        return found

    def hold(self):
        """Held weights are zero, and so are their moments."""
        if self.held:
            for name, mask in self.masks.items():
                p = self.params[name]
                p.data *= mask
                for key, value in self.optimizer.state[p].items():
                    if key != "step" and value is not None and not self.rules.moments_go_on_behind_masks:
                        value *= mask

    def prune_at(self, step):
        target = sparsity(self.case.get("schedule", {}), step)
        if target is None:
            return
        if self.prune.get("granularity") == "unit":
            kept = [(members, self.best_units(scored, target)) for members, scored in self.units()]
            for members, keep in kept:
                self.prune_units(members, keep)
        else:
            self.prune_weights(step, target)
        self.hold()
        if self.train.get("fresh_optimizer") and not self.rules.keep_optimizer:
            self.optimizer.state.clear()
        if self.tickets:
            self.rewind(step)

    def keep_early(self, step):
        """The weights before the update of the step that is gone back to."""
        if self.tickets and step == self.tickets["rewind_to"] + int(self.rules.rewind_to_after_update):
            self.early = {name: p.detach().clone() for name, p in self.params.items()}

    def rewind(self, step):
        """Early weights come back under today's masks, and begin a training of its own (Frankle et al. 2020)."""
        for name, value in self.early.items():
            self.params[name].data.copy_(value)
        self.hold()
        if self.rules.one_rate_over_rounds:
            self.optimizer.state.clear()
            return
        # The last round goes on to the end of the run.
        first, again, fitting = rounds(self.tickets)
        last = (step + 1 - first) // again + 1 == fitting
        self.end = self.tickets["rewind_to"] + (STEPS - 1 - step if last else again)
        moments = self.optimizer.state
        self.optimizer = self.make_optimizer()
        if self.rules.keep_optimizer:
            self.optimizer.state = moments
        self.scheduler = self.make_scheduler()
        for _ in range(self.tickets["rewind_to"]):
            self.scheduler.step()

    def prune_weights(self, step, target):
        last = [name for name in self.params if name.endswith(".weight")][-1]
        output = set() if self.prune.get("include_output") else {last}
        names = [n for n, p in self.params.items() if n.endswith(".weight") and p.dim() > 1 and n not in output]
        layers = self.prune.get("scope") in ("layer", "erk") or self.rules.prune_by_layer
        if self.grow:
            return self.drop_and_grow(step, target, [[name] for name in names] if layers else [names])
        for together in [[name] for name in names] if layers else [names]:
            scores = torch.cat([self.params[n].detach().abs().flatten() for n in together])
            if self.held and not self.returns:
                # What is pruned stays so.
                before = [self.masks.get(n, torch.ones_like(self.params[n])).flatten() for n in together]
                scores = scores.where(torch.cat(before) > 0, -1.0)
            mask = self.best(scores, target)
            for name, part in zip(together, mask.split([self.params[n].numel() for n in together])):
                self.masks[name] = part.reshape(self.params[name].shape)

    def best(self, scores, target):
        """1 for the n - floor(s n) highest."""
        keep = len(scores) - math.floor(target * len(scores) + 1e-9)
        ranked = scores.sort(descending=True)
        if 0 < keep < len(scores):
            self.closest = min(self.closest, (ranked.values[keep - 1] - ranked.values[keep]).item())
        mask = torch.zeros_like(scores)
        mask[ranked.indices[:keep]] = 1.0
        return mask

    def drop_and_grow(self, step, target, groups):
        """RigL, from algorithm 1 of Evci et al. 2020 (arXiv 1911.11134): of the K weights that a layer is to have, f K
        are dropped by magnitude, and as many grow, by the gradient's magnitude, among all but those that remain."""
        sizes = [sum(self.params[n].numel() for n in together) for together in groups]
        counts = [n - math.floor(target * n + 1e-9) for n in sizes]
        if self.prune.get("scope") == "erk":
            total = sum(sizes) - math.floor(target * sum(sizes) + 1e-9)
            counts = erk([self.params[n].shape for (n,) in groups], total)
        f = self.fraction(step)
        for together, count in zip(groups, counts):
            flat = lambda of: torch.cat([of(n).detach().flatten() for n in together])
            was = flat(lambda n: self.masks.get(n, torch.ones_like(self.params[n])))
            grown = math.floor(f * count + (0.0 if self.rules.round_growth_down else 0.5))
            left = min(count - grown, int(was.sum()))
            kept = self.highest(flat(lambda n: self.params[n].abs()), was > 0, left)
            now = kept
            if count > left:
                may = (was == 0) if self.rules.dropped_may_not_grow else (kept == 0)
                now = kept + self.highest(flat(lambda n: self.params[n].grad.abs()), may, count - left)
            anew = (now > 0) & (kept == 0)
            if not self.rules.grown_again_begin_at_zero:
                anew &= was == 0
            for name, mask, new in zip(together, *(self.split(together, v) for v in (now, anew))):
                self.masks[name] = mask
                self.params[name].data[new] = 0.0

    def split(self, names, flat):
        parts = flat.split([self.params[n].numel() for n in names])
        return [part.reshape(self.params[n].shape) for n, part in zip(names, parts)]

    def fraction(self, step):
        """The share that changes places at a step, none before the first."""
        a, end = self.grow["fraction"], round(self.grow.get("until", 0.75) * (STEPS - 1))
        if not 0 <= step < end:
            return 0.0
        decay = "constant" if self.rules.fraction_stays else self.grow.get("decay", "cosine")
        cosine = 0.5 * (1 + math.cos(step * math.pi / end))
        return a * {"cosine": cosine, "linear": 1 - step / end, "constant": 1}[decay]

    def highest(self, scores, among, count):
        """1 for the `count` highest scores among some; of equals the last ones."""
        order = scores.where(among, -1.0).sort(stable=True).indices
        mask = torch.zeros_like(scores)
        mask[order[len(order) - count :]] = 1.0
        if 0 < count < int(among.sum()):
            last, next_one = scores[order[-count]], scores[order[-count - 1]]
            self.closest = min(self.closest, (last - next_one).item())
        return mask

    def units(self):
        """For every group: its members (parameter, axis, places of a unit along it), and the weights that score it."""
        layers = [name.removesuffix(".weight") for name in self.params if name.endswith(".weight")]
        layers = [name for name in layers if not name.startswith("norm")]
        for name, after in zip(layers, layers[1:]):
            norm = name.replace("conv", "norm")
            own = [f"{name}.weight", f"{name}.bias"]
            own += [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var") if norm != name]
            own = [(n, 0, 1) for n in own if n in self.params or n in self.buffers]
            places = self.params[f"{after}.weight"].shape[1] // self.params[f"{name}.weight"].shape[0]
            yield own + [(f"{after}.weight", 1, places)], f"{name}.weight"

    def best_units(self, scored, target):
        order = {"l1": 1, "l2": 2}[self.prune.get("reduce", "l1")]
        return self.best(self.params[scored].detach().flatten(1).norm(order, 1), target)

    def prune_units(self, members, keep):
        for name, axis, places in members:
            along = keep.repeat_interleave(places)
            if self.prune.get("apply") == "shrink":
                self.cut(name, axis, along.nonzero().flatten())
            else:
                p = self.params[name]
                shape = [-1 if a == axis else 1 for a in range(p.dim())]
                self.masks[name] = self.masks.get(name, torch.ones_like(p)) * along.reshape(shape)

    def cut(self, name, axis, kept):
        if name in self.buffers:
            self.buffers[name] = self.buffers[name].index_select(axis, kept)
            return
        old = self.params[name]
        new = old.detach().index_select(axis, kept).requires_grad_()
        state = self.optimizer.state.pop(old)
        scalar = lambda value: value is None or value.dim() == 0
        self.optimizer.state[new] = {k: v if scalar(v) else v.index_select(axis, kept) for k, v in state.items()}
        for group in self.optimizer.param_groups:
            group["params"] = [new if p is old else p for p in group["params"]]
        self.params[name] = new


def sparsity(schedule, step):
    """What is pruned after a step (before the first where it is -1), or None: fractions of a run go from its first step
    to its last, and 0 is before any update."""
    at = lambda fraction: round(fraction * (STEPS - 1))
    due_at = lambda fraction: step == (at(fraction) if fraction > 0 else -1)
    if schedule.get("name") == "one-shot":
        return schedule["sparsity"] if due_at(schedule["at"]) else None
    if schedule.get("name") == "constant":
        since = step - at(schedule["from"])
        due = step < 0 or (since > 0 and since % schedule["every"] == 0 and step <= at(schedule["to"]))
        return schedule["sparsity"] if due else None
    if schedule.get("name") == "lottery":
        first, again, fitting = rounds(schedule)
        nth, rest = divmod(step + 1 - first, again)
        return 1 - (1 - schedule["fraction"]) ** (nth + 1) if 0 <= nth < fitting and not rest else None
    if schedule.get("name") == "ac-dc":
        # An epoch is one step: what the epoch after this step begins with.
        before, after = (compressed(schedule, epoch) for epoch in (step, step + 1))
        return (schedule["sparsity"] if after else 0.0) if step + 1 < STEPS and before != after else None
    if schedule.get("name") == "cubic":
        first, last = at(schedule["from"]), at(schedule["to"])
        initial, final = schedule.get("initial", 0.0), schedule["sparsity"]
        if step <= first:
            return initial if due_at(schedule["from"]) else None
        due = step == last or (step - first) % schedule["every"] == 0
        if not due or (step > last and not schedule.get("renew")):
            return None
        part = min(1.0, (step - first) / (last - first))
        return final + (initial - final) * (1 - part) ** 3
    return None


def erk(shapes, total):
    """How many weights each layer keeps of `total`: densities proportional to the sum over the product of the axes, at
    most 1 (Evci et al. 2020, section 3, (1) sparsity distribution); the largest remainders are rounded up."""
    sizes, raw = [s.numel() for s in shapes], [sum(s) / s.numel() for s in shapes]
    dense = set()
    while True:
        rest = [i for i in range(len(sizes)) if i not in dense]
        scale = (total - sum(sizes[i] for i in dense)) / sum(raw[i] * sizes[i] for i in rest)
        over = [i for i in rest if scale * raw[i] > 1]
        if not over:
            break
        dense.update(over)
    want = [float(n) if i in dense else scale * raw[i] * n for i, n in enumerate(sizes)]
    counts = [math.floor(w) for w in want]
    for i in sorted(range(len(want)), key=lambda i: counts[i] - want[i])[: total - sum(counts)]:
        counts[i] += 1
    return counts


def rounds(schedule):
    """Steps of the first round of lottery tickets (an epoch is one step), those of a later one, which begins with early
    weights, and how many rounds a whole one follows."""
    first = schedule["epochs_per_round"]
    again = first - schedule["rewind_to"]
    return first, again, (STEPS - first) // again


def compressed(schedule, epoch):
    """Whether an epoch of AC/DC is sparse (Peste et al. 2021): dense at first, in turn, dense once more, sparse."""
    if epoch >= STEPS - schedule["last_compressed"]:
        return True
    if epoch < schedule["warmup"] or epoch >= STEPS - schedule["last_compressed"] - schedule["last_dense"]:
        return False
    return (epoch - schedule["warmup"]) // schedule["phase"] % 2 == 0


def targets(given):
    """Real-valued targets where there are any, or classes."""
    return torch.tensor(given["responses"], dtype=torch.float64) if given["responses"] else torch.tensor(given["classes"])


def tensor(given):
    return torch.tensor(given["data"], dtype=torch.float64).reshape(given["shape"])


def number(x):
    return float(f"{x:.9g}")


def checksum(t):
    return [number(t.sum().item()), number(t.norm().item())]


def main():
    here = Path(__file__).parent
    cases = tomllib.loads((here / "cases.toml").read_text())
    inputs = json.loads(Path(sys.argv[1]).read_text())
    found = {"torch": torch.__version__, "cases": {}, "other": {}}
    for name, case in cases.items():
        run = Run(case, inputs[name], Rules())
        initial = {n: checksum(tensor(t)) for n, t in inputs[name]["weights"]}
        found["cases"][name] = {"initial": initial} | run.go()
        losses = found["cases"][name]["losses"]
        closest = f"closest decisions {run.closest:.1e} {run.net.closest:.1e}"
        print(f"{name:20} {losses[0]:.4f} {losses[-2]:.4f} test {losses[-1]:.4f}, {closest}")
    for name, case, rules in OTHER:
        table = cases[case]
        if rules is None:
            table, rules = table | {"model": table["model"] | {"activation": "gelu"}}, Rules()
        found["other"][name] = {"of": case, "losses": Run(table, inputs[case], rules).go()["losses"]}
    # A line for each run, so that a change of one shows as such.
    line = lambda runs: ",\n".join(f"  {json.dumps(name)}: {json.dumps(run)}" for name, run in runs.items())
    parts = [f'"torch": {json.dumps(found["torch"])}']
    parts += [f'"{k}": {{\n{line(found[k])}\n }}' for k in ("cases", "other")]
    (here / "torch.json").write_text("{\n " + ",\n ".join(parts) + "\n}\n")


if __name__ == "__main__":
    main()
