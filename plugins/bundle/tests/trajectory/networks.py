"""The networks of cases.toml in PyTorch, as functions of named parameters, and the conventions that a run obeys."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Rules:
    """Our conventions as defaults; make.py changes one at a time to show that the comparison sees it."""

    gelu: str = "tanh"
    norm_eps: float = 1e-5
    biased_running_variance: bool = False
    decay_everything: bool = False
    coupled_decay: bool = False
    root_of_adam_eps: bool = False
    dampening: float = 0.0
    nesterov_as_momentum: bool = False
    warmup_from_zero: bool = False
    cosine_ends_at_last_step: bool = False
    steps_count_from_warmup: bool = False
    smoothing_over_others: bool = False
    half_the_square: bool = False
    classes_from_zero: bool = False
    clip_each: bool = False
    proportional_attention: bool = True
    mean_by_size: bool = True
    gradient_through_mask: bool = True
    prune_before_update: bool = False
    prune_by_layer: bool = False
    keep_optimizer: bool = False
    first_masks_after_update: bool = False
    rewind_to_after_update: bool = False
    one_rate_over_rounds: bool = False
    grown_again_begin_at_zero: bool = False
    dropped_may_not_grow: bool = False
    round_growth_down: bool = False
    moments_go_on_behind_masks: bool = False
    fraction_stays: bool = False
    returning_weights_learn: bool = False
    pad_before: bool = False
    relu_for_relu6: bool = False
    shortcut_of_raw: bool = False


class Network:
    """A network of one case. `weight(name)` gives a parameter as the forward pass uses it."""

    def __init__(self, case, rules, weight, buffers):
        self.options = {k: v for k, v in case["model"].items() if k != "name"}
        self.forward = getattr(self, case["model"]["name"].replace("-", "_"))
        self.merging = case.get("compressor")
        self.rules, self.weight, self.buffers = rules, weight, buffers
        self.training, self.closest = True, float("inf")

    def linear(self, name, x):
        return F.linear(x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))

    def act(self, name, x):
        if name == "gelu":
            return F.gelu(x, approximate=self.rules.gelu)
        return {"gelu-exact": F.gelu, "relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu6": F.relu6}[name](x)

    def mlp(self, x):
        x = x.flatten(1)
        hidden = len(self.options["hidden"])
        for i in range(1, hidden + 1):
            x = self.act(self.options.get("activation", "relu"), self.linear(f"fc{i}", x))
        return self.linear(f"fc{hidden + 1}", x)

    def cnn(self, x):
        for i in range(1, len(self.options["channels"]) + 1):
            x = F.conv2d(x, self.weight(f"conv{i}.weight"), self.weight(f"conv{i}.bias"), padding=1)
            if self.options.get("batch_norm"):
                x = self.batch_norm(f"norm{i}", x)
            x = F.max_pool2d(F.relu(x), 2)
        return self.mlp(x)

    def resnet(self, x):
        """He et al. 2016, section 4.2."""
        conv = lambda name, x, stride: F.conv2d(x, self.weight(f"{name}.weight"), None, stride, padding=1)
        x = F.relu(self.batch_norm("norm1", conv("conv1", x, 1)))
        each = (self.options["depth"] - 2) // 6
        for stage, i in ((stage, i) for stage in (1, 2, 3) for i in range(each)):
            name, stride = f"stage{stage}.{i}", 2 if i == 0 and stage > 1 else 1
            y = F.relu(self.batch_norm(f"{name}.norm1", conv(f"{name}.conv1", x, stride)))
            y = self.batch_norm(f"{name}.norm2", conv(f"{name}.conv2", y, 1))
            if stride == 2:
                x = self.shortcut(name, x, y.shape[1])
            x = F.relu(y + x)
        return self.linear("fc", x.mean((2, 3)))

    def shortcut(self, name, x, channels):
        if self.options.get("shortcut") == "project":
            projected = F.conv2d(x, self.weight(f"{name}.shortcut.weight"), None, 2)
            return self.batch_norm(f"{name}.shortcut_norm", projected)
        new = channels - x.shape[1]
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, *((new, 0) if self.rules.pad_before else (0, new))))

    def mobilenet_v2(self, x):
        """Sandler et al. 2018, table 2, with the strides of the form for small images; which blocks have shortcuts, and how wide they
        are, is what the weights say."""
        act = F.relu if self.rules.relu_for_relu6 else F.relu6

        def conv(part, x, stride=1):
            w = self.weight(f"{part}.weight")
            return self.batch_norm(f"{part}_norm", F.conv2d(x, w, None, stride, w.shape[2] // 2, groups=x.shape[1] // w.shape[1]))

        x = act(conv("stem", x))
        for stage in range(1, self.options["stages"] + 1):
            for i in range((1, 2, 3, 4, 3, 3, 1)[stage - 1]):
                name, stride = f"stage{stage}.{i}", 2 if i == 0 and stage in (3, 4, 6) else 1
                y = x if stage == 1 else act(conv(f"{name}.expand", x))
                y = act(conv(f"{name}.depthwise", y, stride))
                y = conv(f"{name}.project", y)
                x = x + y if stride == 1 and x.shape == y.shape else y
        return self.linear("fc", act(conv("head", x)).mean((2, 3)))

    def wide_resnet(self, x):
        """Zagoruyko and Komodakis 2016: normalisation and ReLU before each convolution."""
        conv = lambda name, x, stride=1: F.conv2d(x, self.weight(f"{name}.weight"), None, stride, padding=1)
        x = conv("conv1", x)
        for stage, i in ((stage, i) for stage in (1, 2, 3) for i in range((self.options["depth"] - 4) // 6)):
            name, stride = f"stage{stage}.{i}", 2 if i == 0 and stage > 1 else 1
            before = F.relu(self.batch_norm(f"{name}.norm1", x))
            y = F.relu(self.batch_norm(f"{name}.norm2", conv(f"{name}.conv1", before, stride)))
            y = conv(f"{name}.conv2", y)
            if x.shape[1] != y.shape[1]:
                x = F.conv2d(x if self.rules.shortcut_of_raw else before, self.weight(f"{name}.shortcut.weight"), None, stride)
            x = x + y
        return self.linear("fc", F.relu(self.batch_norm("norm", x)).mean((2, 3)))

    def batch_norm(self, name, x):
        names = [f"{name}.running_mean", f"{name}.running_var"]
        mean, var = (self.buffers[n].clone() for n in names)
        affine = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        y = F.batch_norm(x, mean, var, *affine, self.training, 0.1, self.rules.norm_eps)
        if self.training and self.rules.biased_running_variance:
            var = 0.9 * self.buffers[names[1]] + 0.1 * x.detach().var((0, 2, 3), correction=0)
        self.buffers |= {names[0]: mean, names[1]: var}
        return y

    def layer_norm(self, name, x):
        affine = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return F.layer_norm(x, x.shape[-1:], *affine, self.rules.norm_eps)

    def vit(self, x):
        o = self.options
        patch, protected = o.get("patch", 4), int(o.get("pool", "class") == "class")
        x = self.linear("patch", F.unfold(x, patch, stride=patch).mT)
        if protected:
            x = torch.cat([self.weight("class_token").expand(len(x), 1, -1), x], 1)
        x = x + self.weight("position")
        sizes, before = None, self.merging and self.merging.get("at") != "blocks"
        if before:
            left = round(self.merging["ratio"] * (x.shape[1] - protected))
            while left > 0:
                r = min(left, (x.shape[1] - protected) // 2)
                x, sizes = self.merge(x, sizes, x, r, protected)
                left -= r
        for i in range(o["depth"]):
            name = f"blocks.{i}"
            n, t, dim = x.shape
            qkv = self.linear(f"{name}.attn.qkv", self.layer_norm(f"{name}.norm1", x))
            q, k, v = qkv.reshape(n, t, 3, o["heads"], -1).permute(2, 0, 3, 1, 4)
            proportional = o.get("proportional_attention", True) and self.rules.proportional_attention
            bias = None if sizes is None or not proportional else sizes.log()[:, None, None, :]
            a = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            x = x + self.linear(f"{name}.attn.proj", a.transpose(1, 2).reshape(n, t, dim))
            if self.merging and not before:
                x, sizes = self.merge(x, sizes, k.mean(1), self.in_block(i), protected)
            h = F.gelu(self.linear(f"{name}.mlp.fc1", self.layer_norm(f"{name}.norm2", x)), approximate=self.rules.gelu)
            x = x + self.linear(f"{name}.mlp.fc2", h)
        x = self.layer_norm("norm", x)
        if protected:
            x = x[:, 0]
        elif sizes is None or not self.rules.mean_by_size:
            x = x.mean(1)
        else:
            x = (x * sizes[..., None]).sum(1) / sizes.sum(1, keepdim=True)
        return self.linear("head", x)

    def in_block(self, i):
        """Tokens merged in block i: all alike, or from 2 r in the first block down to none in the last."""
        r, depth = self.merging["r"], self.options["depth"]
        return r if self.merging.get("across", "constant") == "constant" else int(2 * r * (1 - i / (depth - 1)))

    def merge(self, x, sizes, metric, r, protected):
        """Bipartite soft matching, from the description in Bolya et al. 2022 (arXiv 2210.09461), section 3: tokens
        alternate between A and B, each of A picks its most similar of B by cosine, the r most similar pairs become
        size-weighted means. What is left of A comes first, in its order, then B."""
        if r <= 0:
            return x, sizes
        if sizes is None:
            sizes = x.new_ones(x.shape[:2])
        with torch.no_grad():
            unit = F.normalize(metric.detach(), dim=-1)
            similarity = unit[:, 0::2] @ unit[:, 1::2].mT
            similarity[:, :protected] = -torch.inf
            best, partner = similarity.max(-1)
            ranked = best.sort(descending=True)
            joins, stays = ranked.indices[:, :r], ranked.indices[:, r:].sort().values
            to = partner.gather(1, joins)
            # How close the nearest decision was: one within the rounding errors of f32 may fall otherwise there.
            two = similarity[:, protected:].topk(2).values
            gaps = torch.cat([t.diff().abs().flatten() for t in (two, ranked.values[:, r - 1 : r + 1])])
            self.closest = min(self.closest, gaps.min().item())
        wide = lambda index: index[..., None].expand(-1, -1, x.shape[-1])
        (xa, xb), (sa, sb) = ((t[:, 0::2], t[:, 1::2]) for t in (x, sizes))
        size = sb.scatter_add(1, to, sa.gather(1, joins))
        total = (xb * sb[..., None]).scatter_add(1, wide(to), (xa * sa[..., None]).gather(1, wide(joins)))
        x = torch.cat([xa.gather(1, wide(stays)), total / size[..., None]], 1)
        return x, torch.cat([sa.gather(1, stays), size], 1)

    def vae(self, images, noise=None):
        """The loss: cross-entropy summed over the pixels plus beta times the divergence, as a mean over the images."""
        o, x = self.options, images
        for i in range(1, len(o["channels"]) + 1):
            x = F.relu(F.conv2d(x, self.weight(f"enc.conv{i}.weight"), self.weight(f"enc.conv{i}.bias"), 2, 1))
        inner, x = x.shape[1:], x.flatten(1)
        for i in range(1, len(o["hidden"]) + 1):
            x = F.relu(self.linear(f"enc.fc{i}", x))
        mu, logvar = self.linear("mu", x), self.linear("logvar", x)
        x = mu if noise is None else mu + torch.exp(0.5 * logvar) * noise
        for i in range(1, len(o["hidden"]) + 2):
            x = F.relu(self.linear(f"dec.fc{i}", x))
        x = x.reshape(-1, *inner)
        for i in range(1, len(o["channels"]) + 1):
            x = F.conv_transpose2d(x, self.weight(f"dec.conv{i}.weight"), self.weight(f"dec.conv{i}.bias"), 2, 1)
            x = F.relu(x) if i < len(o["channels"]) else x
        pixels = F.binary_cross_entropy_with_logits(x, images, reduction="sum")
        divergence = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
        return (pixels + o.get("beta", 1.0) * divergence) / len(images)
