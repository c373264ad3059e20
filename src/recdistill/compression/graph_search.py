"""A graph for approximate search in very large catalogues, kept only if it finds what the exact search finds."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..data.dataset import Contexts
from ..serving.ann import Graph, SearchedTable
from ..serving.scorers import VectorScorer
from ..serving.tables import Wanted

__all__ = ["FROM_ITEMS", "write_graph"]

log = logging.getLogger("recdistill")
FROM_ITEMS = 200_000
"""Items from which a graph is made unless somebody says otherwise: below, the exact scan takes half a millisecond."""
_RECALL = 0.98
_BREADTHS = (32, 64, 128, 192, 256, 384, 512, 768, 1024)


def write_graph(directory: Path, scorer: VectorScorer, n_items: int, users: Contexts) -> dict[str, float]:
    """Write ``graph.usearch`` if it finds 98 % of the best 10 items of some users.

    Args:
        directory: The bundle.
        scorer: Of the bundle.
        n_items: Catalogue size.
        users: Whose lists are compared.

    Returns:
        For the manifest: ``ann_recall_at_10`` and ``ann_expansion``, the breadth of the search that reached it; only
        the recall if none did.
    """
    contexts = scorer.contexts(users.history)
    exact = [set(scorer.table.best(context, Wanted(10), scorer.bias)[0].tolist()) for context in contexts]
    graph = Graph.build(scorer.table.rows(np.arange(n_items)), scorer.bias)
    table, recall = SearchedTable(scorer.table, graph, n_items), 0.0
    for breadth in _BREADTHS:
        graph.expand(breadth)
        found = [table.best(context, Wanted(10), scorer.bias)[0].tolist() for context in contexts]
        hits = sum(len(best.intersection(items)) for best, items in zip(exact, found, strict=True))
        recall = hits / max(sum(map(len, exact)), 1)
        if recall >= _RECALL:
            (directory / "graph.usearch").write_bytes(graph.save())
            return {"ann_recall_at_10": recall, "ann_expansion": float(breadth)}
    log.warning("approximate search finds only %.1f %% of the best items; the bundle searches exactly", 100 * recall)
    return {"ann_recall_at_10": recall}
