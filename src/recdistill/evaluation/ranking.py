"""The best k items of every context out of the whole catalogue, in bounded memory and exact order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data.dataset import Contexts
from ..errors import ConfigError, RecdistillError
from ..models.base import RankingModel, VectorModel

__all__ = ["rank"]

_BYTES = 64 << 20
"""Scores that are held at a time, in bytes."""
_ROWS = 4096
"""Contexts that are scored at a time, at most."""
_ENCODED = 1 << 14
"""Contexts that are encoded at a time."""
_CHUNK = 64
"""Items whose best score is looked at first."""


def rank(
    model: RankingModel, contexts: Contexts, k: int, *, exclude_history: bool = True, block: int | None = None
) -> npt.NDArray[np.int32]:
    """Rank the whole catalogue for every context and keep the best ``k`` items.

    Args:
        model: Any ranking model; a :class:`VectorModel` is faster, its scores are one matrix product.
        contexts: What is asked. Targets are not looked at: what counts as right must not choose the candidates.
        k: Length of the lists, at least 1.
        exclude_history: Do not recommend an item of the context's history, as a bundle does not. A target that is
            in the history can then not be found; False is for data in which people come back to the same items.
        block: Contexts scored at a time; None: as many as fit in 64 MB of scores.

    Returns:
        int32 ``[len(contexts), k]``, best first; equal scores by lower index; -1 where no item is left.

    Raises:
        ConfigError: ``k`` or ``block`` is below 1.
        RecdistillError: The model gave NaN.
    """
    if k < 1 or (block is not None and block < 1):
        raise ConfigError(f"k and block must be at least 1 (got k={k}, block={block})")
    width = -(-model.n_items // _CHUNK) * _CHUNK
    step = block or max(1, min(_ROWS, _BYTES // (4 * width), len(contexts)))
    scorer = _Scorer(model, contexts)
    space = torch.full((step, width), -torch.inf)
    ranked = np.full((len(contexts), k), -1, dtype=np.int32)
    with torch.inference_mode():
        for start in range(0, len(contexts), step):
            rows = np.arange(start, min(start + step, len(contexts)))
            part = contexts.take(rows)
            scores = space[: len(part)]
            scorer.fill(rows, scores[:, : model.n_items])
            if exclude_history:
                scores.view(-1).index_fill_(0, _hidden(part, width), -torch.inf)
            best = _best(scores, k)
            ranked[start : start + len(part), : best.shape[1]] = best.numpy()
    return ranked


class _Scorer:
    """Writes the scores of a few of some contexts into a given place."""

    def __init__(self, model: RankingModel, contexts: Contexts) -> None:
        self.model, self.contexts = model, contexts
        self.first, self.vectors = 0, torch.zeros(0, 0)
        if isinstance(model, VectorModel):
            self.items = torch.tensor(model.item_vectors()).T
            bias = model.item_bias()
            self.bias = None if bias is None else torch.tensor(bias)

    def fill(self, rows: npt.NDArray[np.int64], out: Tensor) -> None:
        """Scores of some consecutive contexts; later calls ask for later ones."""
        if not isinstance(self.model, VectorModel):
            out.numpy()[:] = self.model.score(self.contexts.take(rows))
            return
        vectors = self._encoded(self.model, int(rows[0]), int(rows[-1]) + 1)
        if self.bias is None:
            torch.mm(vectors, self.items, out=out)
        else:
            torch.addmm(self.bias, vectors, self.items, out=out)

    def _encoded(self, model: VectorModel, start: int, stop: int) -> Tensor:
        """Vectors of some contexts, out of many that are encoded at once: a model may begin with work for all items."""
        if stop > self.first + len(self.vectors):
            ahead = np.arange(start, min(max(stop, start + _ENCODED), len(self.contexts)))
            self.first, self.vectors = start, torch.tensor(model.encode(self.contexts.take(ahead)))
        return self.vectors[start - self.first : stop - self.first]


def _hidden(contexts: Contexts, width: int) -> Tensor:
    """Flat places, in rows of ``width``, of the history's items."""
    return torch.from_numpy(contexts.history.row_of_event() * width + contexts.history.items)


def _best(scores: Tensor, k: int) -> Tensor:
    """The ``k`` best columns of each row, -1 for those at minus infinity: int64 ``[rows, min(k, columns)]``.

    Two stages: the ``k`` best chunks by their greatest score hold the ``k`` best columns, so that only those are looked
    at one by one. The first stage is one pass at memory speed, several times as fast as a selection over all columns.
    """
    rows, columns = scores.shape
    chunks = scores.view(rows, columns // _CHUNK, _CHUNK)
    greatest = chunks.amax(dim=2)
    if bool(greatest.isnan().any()):
        raise RecdistillError(
            "the model scores some items as NaN", hint="check its training for a loss that is not finite"
        )
    places = torch.arange(chunks.shape[1]).expand_as(greatest)
    chosen = _top(greatest, places, min(k, chunks.shape[1]))
    values = chunks.gather(1, chosen.unsqueeze(2).expand(-1, -1, _CHUNK)).flatten(1)
    items = (chosen.unsqueeze(2) * _CHUNK + torch.arange(_CHUNK)).flatten(1)
    best = _top(values, items, min(k, values.shape[1]))
    return best.masked_fill_(scores.gather(1, best).isneginf(), -1)


def _top(values: Tensor, labels: Tensor, k: int) -> Tensor:
    """Labels of the ``k`` greatest values of each row, equal values by lower label: int64 ``[rows, k]``."""
    if k < values.shape[1]:
        found = values.topk(k + 1, dim=1)
        at = found.indices[:, :k]
        # topk may take any of the values that equal the last one; only rows where that matters are done the exact way
        tied = (found.values[:, k - 1] == found.values[:, k]).nonzero().squeeze(1)
        if len(tied):
            at[tied] = _keys(values[tied], labels[tied]).topk(k, dim=1).indices
        values, labels = values.gather(1, at), labels.gather(1, at)
    return labels.gather(1, _keys(values, labels).argsort(dim=1, descending=True))


def _keys(values: Tensor, labels: Tensor) -> Tensor:
    """Value and label packed into integers, all different: greater value first, then lower label."""
    bits = (values + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal 0.0
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # floats of either sign in the order of integers
    return (ordered.to(torch.int64) << 32) - labels
