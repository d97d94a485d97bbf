#!/bin/bash
# thop 0.1.1.post2209072238: a vision transformer has a third fewer parameters than it has, and its attention multiplies nothing.
#
# profile() adds up what hooks on layers without children report, and knows no rule for nn.MultiheadAttention: its input projections and
# its products count as no operation (that much is common), but its parameters are not counted either, nor are those of its output
# projection, nor any parameter that a module holds itself, such as the class token and the positions. ViT-B/16 comes out with 58,067,176
# parameters and 11.3 GMACs where it has 86,567,656 and 17.6; the ResNet-18 beside it is right. There is no warning. Pruning heads changes
# neither figure, and pruning anything else looks a third better, by its share, than it is.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --only-binary :all: torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 thop==0.1.1.post2209072238
"$dir/venv/bin/python" -W error::UserWarning - <<'PYTHON'
from importlib.metadata import version

import torch
import torchvision
from thop import profile
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__, "torchvision", torchvision.__version__, "thop", version("thop"))


def counts(name):
    net = getattr(torchvision.models, name)()
    image = torch.randn(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        net.train()(image.expand(2, -1, -1, -1))
    real = counter.get_total_flops() // 4, sum(parameter.numel() for parameter in net.parameters())
    return real, tuple(int(count) for count in profile(net.eval(), (image,), verbose=False))


found = {name: counts(name) for name in ("resnet18", "vit_b_16")}
for name, ((macs, parameters), (thop_macs, thop_parameters)) in found.items():
    print(f"{name}: {parameters} parameters, thop says {thop_parameters}; {macs} multiplications, thop says {thop_macs}")
(macs, parameters), (thop_macs, thop_parameters) = found["resnet18"]
assert thop_parameters == parameters and abs(thop_macs / macs - 1) < 0.01, "it counts convolutions in another way"
real, thop = found["vit_b_16"]
assert real == (17563828224, 86567656), f"another network: {real}"
assert thop == (11286254592, 58067176), f"the behaviour has changed: {thop}"
PYTHON
# Seen on 2026-11-29:
#   resnet18: 11689512 parameters, thop says 11689512; 1814073344 multiplications, thop says 1824033792
#   vit_b_16: 86567656 parameters, thop says 58067176; 17563828224 multiplications, thop says 11286254592
