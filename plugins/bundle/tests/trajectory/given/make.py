"""Networks of other libraries with weights by a formula, what they are called there, and what they compute.

torch 2.15.0, torchvision 0.29.2, timm 1.0.31, transformers 5.24.0. `python make.py` writes golden.json; `python make.py FOLDER` writes
the same for networks of full size with random weights, each with its file of weights, which `real_networks` reads.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

HERE = Path(__file__).parent
SAVED = Path(tempfile.mkdtemp())


def uniform(stream, shape):
    """Numbers in [-1, 1) of 24 bits, by counting (Steele et al. 2014, SplitMix64): exact in f32."""
    count = int(np.prod(shape, dtype=np.int64))
    z = (np.arange(1, count + 1, dtype=np.uint64) + np.uint64(stream << 32)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / 2**23 - 1).reshape(shape)


def weights(names):
    """The state dict with these names and shapes: what every parameter starts as is decided by its name and axes."""
    made = {}
    for stream, (name, shape) in enumerate(names):
        u = uniform(stream, shape)
        if name.endswith("running_var"):
            value = 1 + u / 2
        elif len(shape) == 1:
            value = u / 8 + (1 if name.endswith("weight") else 0)
        else:
            value = u * np.sqrt(3 / np.prod(shape[1:]))
        made[name] = torch.from_numpy(value.astype(np.float32).reshape(shape))
    return made


#: The first stages of MobileNetV2.
NARROW = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2]]


def fractions(state):
    return {name: tensor for name, tensor in state.items() if tensor.is_floating_point()}


def narrow_resnet(block, layers, factor, classes):
    """torchvision's ResNet with its channel counts times a factor, by its own methods."""
    net = torchvision.models.resnet18(num_classes=classes)
    width = [round(factor * c) for c in (64, 128, 256, 512)]
    net.inplanes = width[0]
    net.conv1 = nn.Conv2d(3, width[0], 7, 2, 3, bias=False)
    net.bn1 = nn.BatchNorm2d(width[0])
    for i, (planes, count) in enumerate(zip(width, layers)):
        setattr(net, f"layer{i + 1}", net._make_layer(block, planes, count, stride=1 if i == 0 else 2))
    net.fc = nn.Linear(width[3] * block.expansion, classes)
    return net


def narrow_vgg(factor, classes):
    vgg = torchvision.models.vgg
    channels = [c if c == "M" else round(factor * c) for c in vgg.cfgs["D"]]
    net = vgg.VGG(vgg.make_layers(channels, batch_norm=True), num_classes=classes, init_weights=False)
    # What its average makes of one pixel is 49 copies of it.
    net.avgpool = nn.Identity()
    net.classifier = nn.Sequential(
        nn.Linear(channels[-2], 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 10), nn.ReLU(), nn.Dropout(), nn.Linear(10, classes)
    )
    return net


def wide_resnet(depth, widen, classes):
    """Zagoruyko and Komodakis 2016 with the names and modules of xternalz/WideResNet-pytorch, written anew from its description."""

    class Block(nn.Module):
        def __init__(self, inside, outside, stride):
            super().__init__()
            self.bn1, self.conv1 = nn.BatchNorm2d(inside), nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn2, self.conv2 = nn.BatchNorm2d(outside), nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
            self.convShortcut = None if inside == outside else nn.Conv2d(inside, outside, 1, stride, bias=False)

        def forward(self, x):
            before = self.bn1(x).relu()
            y = self.conv2(self.bn2(self.conv1(before)).relu())
            return y + (x if self.convShortcut is None else self.convShortcut(before))

    class Stage(nn.Module):
        def __init__(self, inside, outside, count, stride):
            super().__init__()
            more = [Block(outside, outside, 1) for _ in range(count - 1)]
            self.layer = nn.Sequential(Block(inside, outside, stride), *more)

        def forward(self, x):
            return self.layer(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            each, width = (depth - 4) // 6, [16, 16 * widen, 32 * widen, 64 * widen]
            self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
            for i in range(3):
                setattr(self, f"block{i + 1}", Stage(width[i], width[i + 1], each, 1 if i == 0 else 2))
            self.bn1, self.fc = nn.BatchNorm2d(width[3]), nn.Linear(width[3], classes)

        def forward(self, x):
            x = self.block3(self.block2(self.block1(self.conv1(x))))
            return self.fc(self.bn1(x).relu().mean((2, 3)))

    return Net()


class Live:
    """A network of transformers, with the names that it has while it lives, or those of its saved file."""

    def __init__(self, net, saved):
        self.net, self.saved = net, saved

    def names(self):
        if not self.saved:
            return fractions(self.net.state_dict())
        self.net.save_pretrained(SAVED)
        return fractions(load_file(SAVED / "model.safetensors"))


def hugging_face(size, patch, dim, depth, heads, classes):
    config = transformers.ViTConfig(
        hidden_size=dim, num_hidden_layers=depth, num_attention_heads=heads, intermediate_size=2 * dim, image_size=size,
        patch_size=patch, num_labels=classes,
    )
    return transformers.ViTForImageClassification(config)


def small():
    """Name, network, [model], image; the state dict's names are those that the library gives."""
    resnet = torchvision.models.resnet
    block, bottleneck = resnet.BasicBlock, resnet.Bottleneck
    imagenet = {"name": "resnet", "form": "imagenet", "shortcut": "project", "width": 0.0625}
    vit = {"name": "vit", "depth": 2, "dim": 24, "heads": 3, "mlp_ratio": 2.0, "patch": 4, "activation": "gelu-exact"}
    theirs = dict(image_size=16, patch_size=4, num_layers=2, num_heads=3, hidden_dim=24, mlp_dim=48, num_classes=5)
    timms = timm.models.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2, num_classes=5, qkv_bias=False
    )
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(48, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5))
    live = hugging_face(16, 4, 24, 2, 3, 5)
    return [
        ("torchvision-resnet18", narrow_resnet(block, [2] * 4, 0.0625, 5), {**imagenet, "depth": 18}, [3, 32, 32]),
        ("torchvision-resnet50", narrow_resnet(bottleneck, [3, 4, 6, 3], 0.0625, 5), {**imagenet, "depth": 50}, [3, 32, 32]),
        (
            "torchvision-vgg16", narrow_vgg(0.0625, 5),
            {"name": "vgg", "width": 0.0625, "hidden": [12, 10], "conv_bias": True}, [3, 32, 32],
        ),
        (
            "torchvision-mobilenet-v2", torchvision.models.mobilenet_v2(num_classes=5, width_mult=0.1, inverted_residual_setting=NARROW),
            {"name": "mobilenet-v2", "form": "imagenet", "width": 0.1, "stages": 4}, [3, 32, 32],
        ),
        ("wide-resnet", wide_resnet(10, 1, 5), {"name": "wide-resnet", "depth": 10, "widen": 1}, [3, 16, 16]),
        ("torchvision-vit", torchvision.models.VisionTransformer(**theirs), {**vit, "norm_eps": 1e-6}, [3, 16, 16]),
        ("timm-vit", timms, {**vit, "norm_eps": 1e-6, "qkv_bias": False}, [3, 16, 16]),
        ("transformers-vit-live", Live(live, False), {**vit, "norm_eps": 1e-12}, [3, 16, 16]),
        ("transformers-vit-saved", Live(live, True), {**vit, "norm_eps": 1e-12}, [3, 16, 16]),
        ("torch-sequential", mlp, {"name": "mlp", "hidden": [7, 6]}, [3, 4, 4]),
    ]


def logits(net, inputs):
    with torch.no_grad():
        y = net.eval()(inputs)
    return getattr(y, "logits", y).double().tolist()


def golden():
    cases = {}
    for name, net, model, image in small():
        module = net.net if isinstance(net, Live) else net
        state = net.names() if isinstance(net, Live) else fractions(net.state_dict())
        names = [[key, list(tensor.shape)] for key, tensor in state.items()]
        made = weights(names)
        if isinstance(net, Live) and net.saved:
            save_file(made, SAVED / "model.safetensors", {"format": "pt"})
            module = transformers.ViTForImageClassification.from_pretrained(SAVED, local_files_only=True)
        else:
            rest = {key: t for key, t in module.state_dict().items() if key not in made}
            module.load_state_dict({**made, **rest})
        inputs = torch.from_numpy(uniform(1 << 20, [4, *image]).astype(np.float32))
        cases[name] = {"model": model, "image": image, "names": names, "logits": logits(module, inputs)}
    lines = [f"{json.dumps(name)}: {json.dumps(case)}" for name, case in cases.items()]
    (HERE / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def real(folder):
    """Networks as their libraries make them, with the weights that they begin with, and random statistics."""
    torch.manual_seed(7)
    vit = {"name": "vit", "patch": 16, "dim": 192, "depth": 12, "heads": 3, "activation": "gelu-exact", "norm_eps": 1e-6}
    cases = {}
    for name, net, model in [
        (
            "resnet18", torchvision.models.resnet18(weights=None),
            {"name": "resnet", "form": "imagenet", "depth": 18, "shortcut": "project"},
        ),
        (
            "resnet50", torchvision.models.resnet50(weights=None),
            {"name": "resnet", "form": "imagenet", "depth": 50, "shortcut": "project"},
        ),
        (
            "mobilenet-v2", torchvision.models.mobilenet_v2(weights=None),
            {"name": "mobilenet-v2", "form": "imagenet", "dropout": 0.2},
        ),
        (
            "mobilenet-v2-timm", timm.create_model("mobilenetv2_050", pretrained=False),
            {"name": "mobilenet-v2", "form": "imagenet", "width": 0.5},
        ),
        ("vit-tiny", timm.create_model("vit_tiny_patch16_224", pretrained=False), vit),
    ]:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1)
                nn.init.normal_(module.bias, std=0.1)
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.5, 2)
        inputs = torch.randn(64, 3, 224, 224)
        torch.save(net.state_dict(), folder / f"{name}.pt")
        cases[name] = {"model": model, "image": [3, 224, 224], "logits": logits(net, inputs)}
        save_file({"inputs": inputs}, folder / f"{name}-inputs.safetensors")
    (folder / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    golden() if len(sys.argv) == 1 else real(Path(sys.argv[1]))
