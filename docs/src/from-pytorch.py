"""Networks to begin with, as PyTorch saves them.

    python from-pytorch.py resnet20.pt --cifar10 cifar-10-batches-bin   a ResNet-20, trained
    python from-pytorch.py resnet8.pt --depth 8 --width 0.5             one with the weights that it would begin with
    python from-pytorch.py vit.pt --depth 4                             a vision transformer of timm for MNIST
    python from-pytorch.py vit-small.pt --depth 2 --width 0.25          a narrower one of two blocks
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, depth, width):
        super().__init__()
        a, b, c = (round(width * n) for n in (16, 32, 64))
        n = (depth - 2) // 6
        stage = lambda i, o, s: nn.Sequential(*(Block(i if j == 0 else o, o, s if j == 0 else 1) for j in range(n)))
        self.conv1, self.bn1 = nn.Conv2d(3, a, 3, 1, 1, bias=False), nn.BatchNorm2d(a)
        self.layer1, self.layer2, self.layer3 = stage(a, a, 1), stage(a, b, 2), stage(b, c, 2)
        self.fc = nn.Linear(c, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def cifar10(folder):
    raw = b"".join((Path(folder) / f"data_batch_{i}.bin").read_bytes() for i in range(1, 6))
    rows = torch.frombuffer(bytearray(raw), dtype=torch.uint8).reshape(-1, 3073)
    images = rows[:, 1:].reshape(-1, 3, 32, 32).float()
    # What data.normalize = "standard" does, so that the network sees the same here and there.
    images = (images - images.mean((0, 2, 3), keepdim=True)) / images.std((0, 2, 3), keepdim=True)
    return images, rows[:, 0].long()


def train(net, images, classes, epochs):
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    batches = -(-len(images) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, epochs * batches)
    for epoch in range(epochs):
        for batch in torch.randperm(len(images)).split(128):
            x = images[batch]
            if torch.rand(()) < 0.5:
                x = x.flip(3)
            loss = F.cross_entropy(net(x), classes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--depth", type=int, default=20)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--cifar10", help="the folder of data_batch_1.bin")
    parser.add_argument("--epochs", type=int, default=30)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if "vit" in arguments.out:
        import timm

        net = timm.models.VisionTransformer(
            img_size=28, patch_size=4, in_chans=1, num_classes=10, depth=arguments.depth,
            embed_dim=round(192 * arguments.width), num_heads=3,
        )
    else:
        net = ResNet(arguments.depth, arguments.width)
        if arguments.cifar10:
            train(net, *cifar10(arguments.cifar10), arguments.epochs)
    torch.save(net.state_dict(), arguments.out)


main()
