"""Published splits as the library's :class:`Split`, with what each protocol asks.

A benchmark is a folder of plain TSV files in the directory that ``RECDISTILL_BENCH`` names, by default
``../shared/bench`` beside the repository, where ``referee.py`` lies too.
"""

from __future__ import annotations

import gzip
import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recdistill.data.dataset import Catalogue, Contexts, Dataset, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import ConfigError, DataError, nearest

__all__ = ["NAMES", "BenchmarkSplit", "Part", "bench_directory", "load", "read_rows"]

Part = str
"""``"valid"`` or ``"test"``."""
NAMES = ("amazon-beauty", "citeulike-rcekd", "citeulike-topology", "alkdrec-games", "alkdrec-ml")
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BenchmarkSplit(Split):
    """A split with its protocol.

    Attributes:
        keys: Part to the referee's key of each context: a user or a session.
        masked: Part to the items that the protocol hides beside the history, one row per context. On validation of
            ``citeulike-topology`` these are test items, so nothing that learns or chooses looks at them.
        cutoffs: Lengths of list at which recall and NDCG are taken.
        select: The metric by which everything is chosen on validation.
        sequential: Whether events of a row are in the order in which they happened.
    """

    keys: Mapping[Part, list[str]]
    masked: Mapping[Part, Sequences]
    cutoffs: tuple[int, ...]
    select: str
    sequential: bool

    @property
    def name(self) -> str:
        """Name of the benchmark."""
        return self.dataset.name

    def contexts(self, part: Part) -> Contexts:
        """The contexts of a part, one per key."""
        return {"valid": self.valid, "test": self.test}[part]


def load(name: str, *, ordered: bool = False) -> BenchmarkSplit:
    """Read a benchmark.

    Histories are what the protocol masks: of ``citeulike-*`` the training items, for validation and test alike; of
    ``amazon-beauty`` everything before the target; of ``alkdrec-*`` the session so far.

    Args:
        name: One of :data:`NAMES`.
        ordered: Only for ``citeulike-*``, which have no order of events: keep each user's training items in the order
            of their ids, as the published sequential teachers saw them. It gives away part of the split (the held-out
            items of ``citeulike-rcekd`` are those with the highest ids), so by default they are shuffled.

    Raises:
        ConfigError: There is no such benchmark.
        DataError: Its files are missing.
    """
    if name not in NAMES:
        raise ConfigError(f"no benchmark is called {name!r}", hint=nearest(name, NAMES))
    if name.startswith("citeulike"):
        return _citeulike(name, ordered)
    if ordered:
        raise ConfigError(f"{name} always has the order of its events", key=("ordered",), hint="leave it out")
    return _amazon(name) if name == "amazon-beauty" else _alkdrec(name)


def bench_directory() -> Path:
    """Where the benchmarks and the referee lie."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "bench"
    return Path(os.environ.get("RECDISTILL_BENCH", default))


def read_rows(name: str, file: str) -> list[list[str]]:
    """The fields of every line behind the header.

    Raises:
        DataError: The file is missing.
    """
    path = bench_directory() / name / f"{file}.tsv.gz"
    if not path.exists():
        raise DataError("no such file", where=path, hint="set RECDISTILL_BENCH to the directory of the benchmarks")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t") for line in lines][1:]


def _citeulike(name: str, ordered: bool) -> BenchmarkSplit:
    pairs = [np.array(read_rows(name, part), dtype=np.int64) for part in ("train", "valid", "test")]
    users, items = (np.unique(np.concatenate([part[:, column] for part in pairs])) for column in (0, 1))
    coded = [(np.searchsorted(users, part[:, 0]), np.searchsorted(items, part[:, 1])) for part in pairs]
    train, valid, test = (_by_user(user, item, len(users)) for user, item in coded)
    ids, catalogue = [str(user) for user in users], Catalogue([str(item) for item in items])
    dataset = Dataset(ids, catalogue, train.concat(valid).concat(test), name)
    if not ordered:
        shuffled = np.lexsort((np.random.default_rng(0).random(train.n_events), train.row_of_event()))
        train = Sequences(train.offsets, train.items[shuffled])
    everyone = np.arange(len(ids), dtype=np.int32)  # also those without a target, who count 0
    one_out = name == "citeulike-topology"
    nothing = _nothing(len(ids))
    return BenchmarkSplit(
        dataset, train, Contexts(everyone, train, valid), Contexts(everyone, train, test),
        "published" + "-ordered" * ordered, keys={"valid": ids, "test": ids},
        masked={"valid": test, "test": valid} if one_out else {"valid": nothing, "test": nothing},
        cutoffs=(10, 20, 50) if one_out else (10, 20), select="recall@50" if one_out else "ndcg@10", sequential=ordered,
    )  # fmt: skip


def _amazon(name: str) -> BenchmarkSplit:
    catalogue = _catalogue(name)
    rows = read_rows(name, "sequences")
    log = _sequences([row[1] for row in rows], catalogue)
    users = [row[0] for row in rows]
    everyone = np.arange(len(users), dtype=np.int32)
    from_end = np.repeat(log.offsets[1:], log.lengths) - np.arange(log.n_events)
    train = log.keep(from_end > 2)
    valid = Contexts(everyone, train, log.keep(from_end == 2))
    test = Contexts(everyone, log.keep(from_end > 1), log.keep(from_end == 1))
    return BenchmarkSplit(
        Dataset(users, catalogue, log, name), train, valid, test, "leave-last-out",
        keys={"valid": users, "test": users}, masked={part: _nothing(len(users)) for part in ("valid", "test")},
        cutoffs=(5, 10, 20), select="ndcg@10", sequential=True,
    )  # fmt: skip


def _alkdrec(name: str) -> BenchmarkSplit:
    catalogue = _catalogue(name)
    sessions: dict[str, list[list[str]]] = {"train": [], "valid": [], "test": []}
    for row in read_rows(name, "sessions"):
        sessions[row[1]].append(row)
    train = _sequences([f"{history} {following}" for _, _, history, following in sessions["train"]], catalogue)
    valid, test = (
        Contexts(
            np.full(len(rows), -1, dtype=np.int32),
            _sequences([row[2] for row in rows], catalogue),
            _sequences([row[3] for row in rows], catalogue),
        )
        for rows in (sessions["valid"], sessions["test"])
    )
    return BenchmarkSplit(
        Dataset([row[0] for row in sessions["train"]], catalogue, train, name), train, valid, test, "published",
        keys={part: [row[0] for row in sessions[part]] for part in ("valid", "test")},
        masked={part: _nothing(len(sessions[part])) for part in ("valid", "test")},
        cutoffs=(5, 10, 20), select="recall@10", sequential=True,
    )  # fmt: skip


def _catalogue(name: str) -> Catalogue:
    """Items with their titles, and categories where the file has them (``A > B > C``)."""
    rows = read_rows(name, "items")
    titles = [html.unescape(row[1]) for row in rows]
    paths = [html.unescape(row[2]) if len(row) > 2 else "" for row in rows]
    return Catalogue(
        ids=[row[0] for row in rows],
        texts=[f"{title}. {path}" if path else title for title, path in zip(titles, paths, strict=True)],
        titles=titles,
        categories=[tuple(filter(None, path.split(" > "))) for path in paths],
    )


def _sequences(lines: list[str], catalogue: Catalogue) -> Sequences:
    """Rows of item ids separated by spaces."""
    return Sequences.from_lists([[catalogue.index(item) for item in line.split()] for line in lines])


def _by_user(users: Ints, items: Ints, n_users: int) -> Sequences:
    order = np.argsort(users, kind="stable")
    return Sequences.from_sorted(users[order], n_users, items[order])


def _nothing(rows: int) -> Sequences:
    return Sequences(np.zeros(rows + 1, dtype=np.int64), np.zeros(0, dtype=np.int32))
