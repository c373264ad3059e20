"""First items and tails of scores, in torch: :func:`recdistill.knowledge.rankings_of`, many times faster."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.sequences import Sequences
from ..knowledge import TAIL_BETAS, Rankings

__all__ = ["hide", "rankings_of_scores"]


@torch.inference_mode()
def hide(scores: Tensor, items: Sequences) -> Tensor:
    """Give the items of each row of ``items`` no probability, in place: float ``[n, n_items]``."""
    rows = torch.from_numpy(items.row_of_event()).to(scores.device)
    columns = torch.from_numpy(items.items.astype(np.int64)).to(scores.device)
    scores[rows, columns] = -torch.inf
    return scores


@torch.no_grad()
def rankings_of_scores(scores: Tensor, k: int, wishes: Tensor | None = None) -> Rankings:
    """Log-softmax, ``k`` items and tails; everything else is in the tail.

    Args:
        scores: float32 ``[n, n_items]``, -inf = cannot be; overwritten.
        k: How many items.
        wishes: float32 ``[n, n_items]``: the items are the first by these in place of the first by their scores.
    """
    kept = min(k, scores.shape[1])
    values, items = torch.topk(scores if wishes is None else wishes, kept, dim=1)
    greatest = values[:, :1]
    if wishes is not None:
        items, greatest = items.to(scores.device), scores.amax(dim=1, keepdim=True)
        values, order = scores.gather(1, items).sort(dim=1, descending=True, stable=True)
        items = items.gather(1, order)
    top = greatest.clamp_min(torch.finfo(torch.float32).min)
    scores.scatter_(1, items, -torch.inf)
    # one exponential at the smallest beta; the other two are its square and fourth power
    quarter = scores.sub_(top).mul_(TAIL_BETAS[2]).exp_()
    sums = [quarter.sum(1), quarter.square_().sum(1), quarter.square_().sum(1)][::-1]
    total = torch.log(torch.exp(values - top).sum(1) + sums[0])
    tail = torch.stack([s.log() - beta * total for s, beta in zip(sums, TAIL_BETAS, strict=True)], dim=1)
    logp = values - top - total[:, None]
    items.masked_fill_(values.isneginf(), -1)
    listed = np.full((len(scores), k), -1, dtype=np.int32)
    listed[:, :kept] = items.cpu().numpy()
    filled: npt.NDArray[np.float32] = np.full((len(scores), k), -np.inf, dtype=np.float32)
    filled[:, :kept] = np.where(listed[:, :kept] < 0, -np.inf, logp.cpu().numpy())
    return Rankings(listed, filled, _tail(tail), (listed[:, 0] >= 0).astype(np.float32))


def _tail(tail: Tensor) -> npt.NDArray[np.float32]:
    """Rows without any item have sums of nothing: -inf."""
    return np.asarray(tail.nan_to_num(nan=-torch.inf, neginf=-torch.inf).cpu().numpy(), dtype=np.float32)
