//! Parts of the file in Python that are the same for every network that needs them.

/// What is imported.
pub const HEAD: &str = r#"
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
"#;

/// How the weights are read, and inputs are made.
pub const LOAD: &str = r#"

def load(weights=None):
    """The network with its weights, ready for use: this file's name with .bin, or another file of the same content."""
    file = Path(weights or Path(__file__).with_suffix(".bin"))
    data, network = bytearray(file.read_bytes()), Network()
    state = network.state_dict()
    size = 4 * max((offset + state[name].numel() for name, offset, _ in WEIGHTS), default=0)
    if len(data) != size:
        raise ValueError(f"{file} has {len(data)} bytes, where these weights are {size}: it was cut short, or is of another network")
    values = torch.frombuffer(data, dtype=torch.float32)
    for name, offset, shape in WEIGHTS:
        count = state[name].numel()
        if tuple(state[name].shape) != shape:
            raise ValueError(f"{name} is {tuple(state[name].shape)}, and the weights are {shape}")
        state[name] = values[offset : offset + count].reshape(shape)
    network.load_state_dict(state)
    return network.eval()


def preprocess(stored):
    """What the network takes, of values as they are stored: bytes of images from 0 to 255, channels first."""
    shape = (1, -1) + (1,) * (len(INPUT_SHAPE) - 1)
    return stored.float() * torch.tensor(SCALE).reshape(shape) + torch.tensor(SHIFT).reshape(shape)


if __name__ == "__main__":
    network = load()
    print(network)
    print("output for zeros:", network(torch.zeros(1, *INPUT_SHAPE)))
"#;

/// Attention.
pub const ATTENTION: &str = r#"

def attention(qkv, tokens, heads, head_dim, scale, sizes=None):
    """softmax(scale q k^T + log sizes) v; heads of q, k and v stand side by side in each row."""
    q, k, v = qkv.reshape(-1, tokens, 3, heads, head_dim).permute(2, 0, 3, 1, 4)
    bias = None if sizes is None else sizes.log()[:, None, None, :]
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
    return y.transpose(1, 2).reshape(-1, heads * head_dim)
"#;

/// Patches of images.
pub const PATCHES: &str = r#"

def patches(x, side):
    """Square patches, row by row, each as channels, rows, columns."""
    n, channels, rows, columns = x.shape
    x = x.reshape(n, channels, rows // side, side, columns // side, side)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels * side * side)
"#;

/// Class token and positions.
pub const EMBED: &str = r#"

def embed(x, token=None, position=None):
    """A class token in front, and positions added."""
    if token is not None:
        x = torch.cat([token.reshape(1, 1, -1).expand(x.shape[0], 1, -1), x], dim=1)
    return x if position is None else x + position
"#;

/// Means of tokens.
pub const MEAN_TOKENS: &str = r#"

def mean_tokens(x, sizes):
    """The mean of the tokens, weighted by how many each stands for."""
    sizes = sizes[:, :, None]
    return (x * sizes).sum(dim=1) / sizes.expand(x.shape[0], -1, -1).sum(dim=1)
"#;

/// Means of keys.
pub const MEAN_KEYS: &str = r#"

def mean_keys(qkv, tokens, heads, head_dim):
    """The keys, averaged over the heads: what tokens are compared by."""
    keys = qkv[:, heads * head_dim : 2 * heads * head_dim]
    return keys.reshape(-1, heads, head_dim).mean(dim=1).reshape(-1, tokens, head_dim)
"#;

/// Merging of tokens.
pub const MERGE: &str = r#"

def merge_tokens(metric, x, sizes, r, protected):
    """Bipartite soft matching (Bolya et al. 2022): tokens take turns between A and B, each of A finds its most similar one
    of B, and the r most similar pairs become their mean, weighted by sizes. Left are the protected tokens, the others of
    A, those of B. Of equal similarities the first wins."""
    n, tokens, dim = x.shape
    a = torch.arange(2 * ((protected + 1) // 2), tokens, 2)
    b = torch.arange(2 * (protected // 2) + 1, tokens, 2)
    norm = metric.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
    unit = metric / norm
    best, partner = (unit[:, a] @ unit[:, b].transpose(1, 2)).max(dim=-1)
    top = best.sort(dim=-1, descending=True, stable=True).indices[:, :r]
    joins = torch.zeros_like(best, dtype=torch.bool).scatter_(1, top, True)
    first_b = protected + len(a) - r
    place = protected + (~joins).long().cumsum(dim=1) - 1
    target = torch.arange(tokens).repeat(n, 1)
    target[:, a] = torch.where(joins, first_b + partner, place)
    target[:, b] = first_b + torch.arange(len(b))
    sizes = sizes.expand(n, -1)
    kept = torch.zeros(n, tokens - r).scatter_add_(1, target, sizes)
    sums = torch.zeros(n, tokens - r, dim).scatter_add_(1, target[:, :, None].expand(-1, -1, dim), x * sizes[:, :, None])
    return sums / kept[:, :, None], kept
"#;
