"""One training step in PyTorch, as a user writes it: median of many, in milliseconds. Called by peers.py."""
import sys
import time

import torch
import torch.nn.functional as F

BATCH = 128


def param(*shape):
    fan_in = shape[1] if len(shape) == 2 else shape[1] * shape[2] * shape[3]
    return (torch.randn(*shape) * fan_in**-0.5).requires_grad_()


def mlp():
    widths = [784, 50, 30, 10]
    weights = [param(o, i) for i, o in zip(widths, widths[1:])]
    biases = [torch.zeros(o, requires_grad=True) for o in widths[1:]]
    masks = [torch.ones_like(w) for w in weights]
    x, y = torch.randn(BATCH, 784), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.SGD(weights + biases, lr=0.01, momentum=0.9)

    def loss():
        h = x
        for i, (w, m, b) in enumerate(zip(weights, masks, biases)):
            h = F.linear(h, w * m, b)
            if i + 1 < len(weights):
                h = torch.relu(h)
        return F.cross_entropy(h, y)

    return loss, optimizer, 2000


MODELS = {"mlp": mlp}


def main():
    torch.manual_seed(0)
    torch.set_num_threads(int(sys.argv[2]))
    loss_of, optimizer, count = MODELS[sys.argv[1]]()

    def step():
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(max(3, count // 10)):
        step()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    print(sorted(times)[len(times) // 2])


if __name__ == "__main__":
    main()
