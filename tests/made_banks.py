"""Small banks whose clips have several rows each, and the plainest programs over them."""

import numpy as np

from nearfar.scoring.bank import MemoryBank


def bank_of(clips=12, rows=20, dim=4, seed=0, twins=0):
    """More rows than clips: some are made of others; the last `twins` rows equal the first."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dim)) + 1.0
    if twins:
        x[-twins:] = x[:twins]
    origin = np.arange(rows) % clips
    return MemoryBank(x, origin, (np.arange(rows) % 3 == 0).astype(np.int8))


def queries_of(n=9, dim=4, seed=1):
    return np.random.default_rng(seed).standard_normal((n, dim)) * 1.5 + 1.0


def without(bank, origin):
    """The bank as it is when a clip was never there."""
    keep = bank.origin != origin
    return MemoryBank(bank.embeddings[keep], bank.origin[keep], bank.domain[keep])


def plain_distance(u, v, metric):
    if metric == "euclidean":
        return float(np.sqrt(sum((a - b) ** 2 for a, b in zip(u, v, strict=True))))
    lengths = np.sqrt(u @ u) * np.sqrt(v @ v)
    return float(1 - u @ v / lengths)


def plain_density(bank, i, k, metric, hidden=()):
    """Mean distance of row i to its k nearest rows of other clips; None where there is none."""
    own = {int(bank.origin[i]), *hidden}
    found = sorted(
        plain_distance(bank.embeddings[i], row, metric)
        for row, origin in zip(bank.embeddings, bank.origin, strict=True)
        if int(origin) not in own
    )[:k]
    return sum(found) / len(found) if found else None


def plain_slope(bank, k, metric):
    """α over the rows of a bank, a row and its neighbour at a time."""
    pairs = []
    for i, row in enumerate(bank.embeddings):
        others = [j for j in range(len(bank)) if bank.origin[j] != bank.origin[i]]
        if not others:
            continue
        found = [(plain_distance(row, bank.embeddings[j], metric), j) for j in others]
        d, j = min(found)
        b = plain_density(bank, j, k, metric, hidden=(int(bank.origin[i]),))
        if b is not None:
            pairs.append((d, b))
    d, b = np.array(pairs).reshape(-1, 2).T
    if not len(b) or np.ptp(b) <= 1e-12 * max(b.mean(), 1e-300):
        return 0.0
    return float(((d - d.mean()) * (b - b.mean())).sum() / ((b - b.mean()) ** 2).sum())
