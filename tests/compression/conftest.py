"""One split and small models for the tests of bundles."""

from __future__ import annotations

import pytest

from recdistill.data.dataset import Split
from recdistill.models.base import RankingModel
from recdistill.models.dual_ease import DualEASE
from recdistill.models.ease import EASE
from recdistill.models.gru4rec import GRU4Rec
from recdistill.models.hstu import HSTU
from recdistill.models.item_knn import ItemKNN
from recdistill.models.lightgcn import LightGCN
from recdistill.models.mf import MF
from recdistill.models.popularity import Popularity
from recdistill.models.sasrec import SASRec
from recdistill.models.slist import SLIST
from tests.synthetic import tiny_split

CONFIGS = {
    "sasrec": SASRec(dim=16, max_length=8),
    "gru4rec": GRU4Rec(dim=12, layers=2, max_length=8),
    "hstu": HSTU(dim=16, max_length=8),
    "mf": MF(dim=8),
    "lightgcn": LightGCN(dim=8),
    "ease": EASE(decay=0.8),
    "dual-ease": DualEASE(decay=0.8),
    "item-knn": ItemKNN(),
    "slist": SLIST(),
    "popularity": Popularity(),
}


@pytest.fixture(scope="session")
def split() -> Split:
    return tiny_split(n_users=80, n_items=60)


@pytest.fixture(scope="session")
def models(split: Split) -> dict[str, RankingModel]:
    """Every model by name; the neural ones with random weights."""
    return {name: config.build(split, seed=1) for name, config in CONFIGS.items()}
