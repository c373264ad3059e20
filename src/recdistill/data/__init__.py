"""Interaction logs and item catalogues: reading, cleaning, splitting.

::

    data = recdistill.data.read("ratings.csv", items="movies.csv", text="{title}. {genres}")
    split = recdistill.data.LeaveLastOut().split(data)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import Component, Components
from .dataset import Catalogue, Contexts, Dataset, Split
from .sequences import Sequences

if TYPE_CHECKING:
    from .cleaning import Cleaning
    from .columns import guess_columns
    from .movielens.folders import movielens_small, read_movielens
    from .reader import read
    from .recbole import read_recbole
    from .splits.base import SplitConfig
    from .splits.given_files import GivenFiles
    from .splits.global_temporal import GlobalTemporal
    from .splits.leave_last_out import LeaveLastOut
    from .splits.per_user_ratio import PerUserRatio

READERS = Components(
    "readers",
    Component(
        "table", "recdistill.data.reader:read", "data", "CSV, TSV, Parquet, or a pandas, polars, Hugging Face table"
    ),
    Component(
        "movielens", "recdistill.data.movielens.folders:read_movielens", "data", "a MovieLens folder: 100k, 1M, latest"
    ),
    Component("recbole", "recdistill.data.recbole:read_recbole", "data", "RecBole atomic files: NAME.inter, NAME.item"),
    Component(
        "movielens-small",
        "recdistill.data.movielens.folders:movielens_small",
        "data",
        "100,836 ratings inside the package",
    ),
)
"""Every reader: a function that returns a :class:`Dataset`."""

SPLITS = Components(
    "splits",
    Component(
        "leave-last-out", "recdistill.data.splits.leave_last_out:LeaveLastOut", None, "the newest events of each user"
    ),
    Component(
        "global-temporal", "recdistill.data.splits.global_temporal:GlobalTemporal", None, "all events after a date"
    ),
    Component(
        "per-user-ratio", "recdistill.data.splits.per_user_ratio:PerUserRatio", None, "the newest share of each user"
    ),
    Component("given", "recdistill.data.splits.given_files:GivenFiles", "data", "held-out events from files"),
)
"""Every way to hold events out: a config whose ``split(dataset)`` returns a :class:`Split`."""

__all__ = [
    "READERS",
    "SPLITS",
    "Catalogue",
    "Cleaning",
    "Contexts",
    "Dataset",
    "GivenFiles",
    "GlobalTemporal",
    "LeaveLastOut",
    "PerUserRatio",
    "Sequences",
    "Split",
    "SplitConfig",
    "Task",
    "guess_columns",
    "movielens_small",
    "read",
    "read_movielens",
    "read_recbole",
]

_PLACES = {"Cleaning": "cleaning", "SplitConfig": "splits.base", "Task": "tasks", "guess_columns": "columns"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    return (READERS if name in READERS.classes() else SPLITS).attribute(name)
