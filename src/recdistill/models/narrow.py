"""The weights of a smaller SASRec, made from those of a larger one so that it computes nearly the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .sasrec import SASRec

__all__ = ["narrowed"]

Floats = npt.NDArray[np.float64]
Weights = Mapping[str, npt.NDArray[Any]]


def narrowed(weights: Weights, large: SASRec, small: SASRec, blocks: Sequence[int], basis: Floats) -> dict[str, Floats]:
    """Project the residual stream on a basis and rewrite every layer for it.

    What goes from block to block is kept along ``basis`` only. Scale and shift of a norm are folded into the matrices
    behind it. Of each block the heads that write most stay; the two products that make up a head, of queries and keys
    and of values and output, are cut to the student's width by their singular values. Of the feed-forward layer those
    units stay whose weights are largest. With the same width and the unit basis, the function is the same.

    Args:
        weights: State dict of the large network.
        large: Its parameters.
        small: Those of the small one: no wider, no more heads.
        blocks: The block of the large network that each of the small one is made from.
        basis: float ``[large.dim, small.dim]``, orthonormal columns.

    Returns:
        Tensors by name: ``items``, ``place``, ``norm`` and all blocks. ``items`` are made of ``weights["items"]``.
    """
    exact = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    wider = (large.dim / small.dim) ** 0.5  # a norm divides by the root of the width
    out = {"items": exact["items"] @ basis * wider, "place": exact["place"] @ basis}
    out["norm.weight"] = np.einsum("dk,d,dk->k", basis, exact["norm.weight"], basis)
    out["norm.bias"] = basis.T @ exact["norm.bias"] / wider
    for number, block in enumerate(blocks):
        own = {name.removeprefix(f"blocks.{block}."): value for name, value in exact.items()}
        made = _attention(own, large, small, basis, wider) | _feed_forward(own, small, basis, wider)
        for name in ("norm_attention", "norm_feed"):
            made |= {f"{name}.weight": np.ones(small.dim), f"{name}.bias": np.zeros(small.dim)}
        out |= {f"blocks.{number}.{name}": value for name, value in made.items()}
    return out


def _behind(own: Weights, norm: str, layer: str, basis: Floats, wider: float) -> Floats:
    """A linear layer behind a norm, which is folded into it: ``[out, small + 1]``, the bias in the last column."""
    weight, bias = own[f"{layer}.weight"], own[f"{layer}.bias"]
    folded = weight * own[f"{norm}.weight"] @ basis * wider
    return np.column_stack([folded, bias + weight @ own[f"{norm}.bias"]])


def _attention(own: Weights, large: SASRec, small: SASRec, basis: Floats, wider: float) -> dict[str, Floats]:
    width, wanted = large.dim // large.heads, small.dim // small.heads
    joint = _behind(own, "norm_attention", "qkv", basis, wider).reshape(3, large.heads, width, -1)
    out = (basis.T @ own["out.weight"]).reshape(small.dim, large.heads, width)
    written = [out[:, head] @ joint[2, head] for head in range(large.heads)]
    chosen = np.sort(np.argsort([-np.linalg.norm(matrix) for matrix in written], kind="stable")[: small.heads])
    parts, outs = [], []
    for head in chosen:
        # logits are divided by the root of a head's width, which changes
        query, key = _halves(joint[0, head].T @ joint[1, head] * (wanted / width) ** 0.5, wanted)
        wrote, value = _halves(written[head], wanted)
        parts.append([query.T, key, value])
        outs.append(wrote)
    qkv = np.concatenate([part[kind] for kind in range(3) for part in parts])
    return {
        "qkv.weight": qkv[:, :-1],
        "qkv.bias": qkv[:, -1],
        "out.weight": np.concatenate(outs, axis=1),
        "out.bias": basis.T @ own["out.bias"],
    }


def _feed_forward(own: Weights, small: SASRec, basis: Floats, wider: float) -> dict[str, Floats]:
    up, down = _behind(own, "norm_feed", "up", basis, wider), basis.T @ own["down.weight"]
    weighs = np.linalg.norm(up, axis=1) * np.linalg.norm(down, axis=0)
    units = small.feed_forward * small.dim
    chosen = np.sort(np.argsort(-weighs, kind="stable")[:units])
    missing = units - len(chosen)  # a shorter layer leaves some units without a task
    up, down = np.pad(up[chosen], ((0, missing), (0, 0))), np.pad(down[:, chosen], ((0, 0), (0, missing)))
    return {
        "up.weight": up[:, :-1],
        "up.bias": up[:, -1],
        "down.weight": down,
        "down.bias": basis.T @ own["down.bias"],
    }


def _halves(matrix: Floats, rank: int) -> tuple[Floats, Floats]:
    """Two factors whose product is nearest to a matrix: ``[rows, rank]`` and ``[rank, columns]``."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    root = np.sqrt(values[:rank])
    missing = ((0, 0), (0, max(rank - len(root), 0)))
    return np.pad(left[:, :rank] * root, missing), np.pad((right[:rank].T * root), missing).T
