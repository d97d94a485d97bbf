"""One training step in PyTorch, as a user writes it: median of many, in milliseconds. Called by peers.py:
peer_steps.py NAME THREADS [cpu | cuda:N] [eager | compile]. NAME-bf16 is under autocast to bfloat16. On a GPU in f32 without TF32, and nobody waits for single steps."""
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


def cnn():
    convs = [param(32, 3, 3, 3), param(32, 32, 3, 3)]
    widths = [2048, 512, 128, 10]
    weights = [param(o, i) for i, o in zip(widths, widths[1:])]
    biases = [torch.zeros(w.shape[0], requires_grad=True) for w in convs + weights]
    masks = [torch.ones_like(w) for w in convs + weights]
    x, y = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.SGD(convs + weights + biases, lr=0.01, momentum=0.9)

    def loss():
        h = x
        for w, m, b in zip(convs, masks, biases):
            h = F.max_pool2d(F.relu(F.conv2d(h, w * m, b, padding=1)), 2)
        h = h.flatten(1)
        for i, (w, m, b) in enumerate(zip(weights, masks[2:], biases[2:])):
            h = F.linear(h, w * m, b)
            if i + 1 < len(weights):
                h = torch.relu(h)
        return F.cross_entropy(h, y)

    return loss, optimizer, 20


def vit(dim, heads=4, depth=4, tokens=64, ratio=2):
    def linear(i, o):
        w = param(o, i)
        return w, torch.ones_like(w), torch.zeros(o, requires_grad=True)

    def norm():
        return torch.ones(dim, requires_grad=True), torch.zeros(dim, requires_grad=True)

    def apply(layer, h):
        w, m, b = layer
        return F.linear(h, w * m, b)

    patch, head, last = linear(48, dim), linear(dim, 10), norm()
    position = (torch.randn(tokens, dim) * 0.02).requires_grad_()
    blocks = [(norm(), linear(dim, 3 * dim), linear(dim, dim), norm(), linear(dim, ratio * dim), linear(ratio * dim, dim)) for _ in range(depth)]
    layers = [patch, head] + [layer for b in blocks for layer in (b[1], b[2], b[4], b[5])]
    params = [t for w, _, b in layers for t in (w, b)] + [position, *last] + [t for b in blocks for n in (b[0], b[3]) for t in n]
    images, y = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    optimizer = torch.optim.Adam(params, lr=1e-3)

    def loss():
        x = images.view(BATCH, 3, 8, 4, 8, 4).permute(0, 2, 4, 1, 3, 5).reshape(BATCH, tokens, 48)
        h = apply(patch, x) + position
        for norm1, qkv, proj, norm2, fc1, fc2 in blocks:
            q, k, v = apply(qkv, F.layer_norm(h, (dim,), *norm1)).view(BATCH, tokens, 3, heads, dim // heads).permute(2, 0, 3, 1, 4).unbind(0)
            a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(BATCH, tokens, dim)
            h = h + apply(proj, a)
            h = h + apply(fc2, F.gelu(apply(fc1, F.layer_norm(h, (dim,), *norm2)), approximate="tanh"))
        return F.cross_entropy(apply(head, F.layer_norm(h, (dim,), *last).mean(1)), y)

    return loss, optimizer, 7


def vae(batch=64, latent=100):
    """The 85.2 M-parameter autoencoder as a module without masks, and Adam in its default form."""
    from torch import nn

    def chain(widths):
        return [layer for i, o in zip(widths, widths[1:]) for layer in (nn.Linear(i, o), nn.ReLU())]

    convs = [nn.Conv2d(3, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten()]
    encoder = nn.Sequential(*convs, *chain([16384, 2048, 4096]))
    mean, logvar = nn.Linear(4096, latent), nn.Linear(4096, latent)
    deconvs = [nn.Unflatten(1, (64, 16, 16)), nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 3, 4, 2, 1)]
    decoder = nn.Sequential(*chain([latent, 4096, 2048, 16384]), *deconvs)
    params = [p for part in (encoder, mean, logvar, decoder) for p in part.parameters()]
    x = torch.rand(batch, 3, 64, 64)
    optimizer = torch.optim.Adam(params, lr=1e-3)

    def loss():
        h = encoder(x)
        mu, lv = mean(h), logvar(h)
        z = mu + torch.exp(0.5 * lv) * torch.randn_like(lv)
        divergence = -0.5 * (1 + lv - mu**2 - lv.exp()).sum()
        return (F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") + divergence) / batch

    return loss, optimizer, 7


MODELS = {"mlp": mlp, "cnn": cnn, "vit192": lambda: vit(192), "vit128": lambda: vit(128), "vae": vae}


def main():
    name, threads, device, mode = (*sys.argv[1:], "cpu", "eager")[:4]
    torch.manual_seed(0)
    torch.set_num_threads(int(threads))
    torch.set_default_device(device)
    gpu = device.startswith("cuda")
    if gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    base = name.removesuffix("-bf16")
    loss_of, optimizer, count = MODELS[base]()
    if mode == "compile":
        loss_of = torch.compile(loss_of)

    def step():
        with torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=base != name):
            loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def steps(count):
        """Milliseconds of a step, over some of them; waits for the device at the end only."""
        start = time.perf_counter()
        for _ in range(count):
            step()
        if gpu:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3 / count

    at_once = 32 if gpu else 1
    if gpu:
        count = 50 * at_once
    steps(max(3, count // 10))
    times = sorted(steps(at_once) for _ in range(count // at_once))
    print(times[len(times) // 2])


if __name__ == "__main__":
    main()
