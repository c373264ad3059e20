"""What a run found out: the content of ``results.json``, from which a report can be made again at any time.

The JSON form is the fields of :class:`ReportData`, one object each, names as here; a field with a default may be left
out. Shares are between 0 and 1, times in seconds unless the name says otherwise, an interval is ``[low, high]``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ..config import read_model
from ..files import write_text

__all__ = [
    "Agreement",
    "Asked",
    "Asking",
    "Candidate",
    "Comparison",
    "Curve",
    "DataReport",
    "Estimate",
    "Example",
    "Interval",
    "ItemMap",
    "Likeness",
    "Listened",
    "ListenedPart",
    "MapItem",
    "ReportData",
    "Reproduce",
    "Role",
    "Round",
    "Row",
    "Slice",
    "Stage",
    "Suggestion",
    "TaskResult",
    "Wins",
]

Interval = tuple[float, float]
Role = Literal["teacher", "alone", "distilled", "ablation", "served", "baseline"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Estimate(_Part):
    """A mean, a share or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the interval lies on one side of zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


class Row(_Part):
    """One line of the comparison: a model in its role."""

    name: str = Field(description="unique, as shown, for example 'SASRec 32, distilled'")
    role: Role = Field(description="'alone', 'distilled' and 'ablation' are the same student; 'served' is its bundle")
    metrics: dict[str, float] = Field(description="mean over contexts and seeds by name, for example 'NDCG@10'")
    intervals: dict[str, Interval] = Field({}, description="95 % interval of each mean")
    seeds: int = Field(1, ge=1, description="trainings that the mean is over")
    spread: dict[str, float] = Field({}, description="standard deviation over seeds of each mean, if there are several")
    parameters: int | None = None
    bytes: int | None = Field(None, description="size on disk")
    latency_ms: float | None = Field(None, description="median of one recommendation on one core")
    transfer_ratio: float | None = Field(None, description="(this - alone) / (teacher - alone)")
    transfer_interval: Interval | None = Field(None, description="95 % interval of it, if the teacher's lead is clear")
    overlap: float | None = Field(
        None, description="share of the teacher's top 10 that is in this model's top 10 (or the largest k below)"
    )
    note: str = ""
    part: str = Field("", description="of an ablation: name of the part of the knowledge that it got")


class Comparison(_Part):
    """Paired difference of two rows on the same contexts: ``better`` minus ``than``."""

    better: str = Field(description="name of a row")
    than: str = Field(description="name of another row")
    metric: str = Field(description="'NDCG@10', or 'NDCG@10/tail' in a slice")
    difference: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the interval lies on one side of zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    @property
    def slice(self) -> str:
        """Name of the slice that it is about; empty: all test contexts."""
        return self.metric.partition("/")[2]


class Curve(_Part):
    """One quantity over the epochs of one training."""

    run: str = Field(description="for example 'distilled'")
    term: str = Field(description="'loss: NAME' and 'weight: NAME' for each loss term, or a validation metric")
    epochs: tuple[float, ...]
    values: tuple[float | None, ...] = Field(description="mean over seeds")
    low: tuple[float | None, ...] = Field((), description="lowest of the seeds, or empty")
    high: tuple[float | None, ...] = ()


class Slice(_Part):
    """The metric on a part of the test contexts."""

    name: str = Field(description="for example 'head', 'tail', 'cold'")
    meaning: str = Field("", description="for example 'target among the 20 % most popular items'")
    contexts: int
    values: dict[str, float] = Field(description="by name of row")
    intervals: dict[str, Interval] = {}


class Agreement(_Part):
    """A row's lists beside those of the main teacher; shares of items are over all lists together."""

    row: str = Field(description="name of a row")
    part: str = Field("", description="name of a slice; empty: all test contexts")
    contexts: int
    k: int = Field(description="how many of the first items are compared")
    overlap: Estimate = Field(description="share of the teacher's first k that is among the row's")
    gained: Estimate | None = Field(None, description="overlap less that of the student alone, on the same contexts")
    both: Estimate | None = Field(
        None, description="share of the items in both lists that were taken; None: there are none"
    )
    own: Estimate | None = Field(None, description="the same of the items that only the row lists")
    missed: Estimate | None = Field(None, description="the same of the items that only the teacher lists")
    left: Estimate | None = Field(None, description="missed less own: above 0, to follow the teacher further would pay")
    behind: Estimate = Field(description="share of the contexts where the teacher has the higher metric")
    ahead: Estimate = Field(description="share of the contexts where the row has the higher metric")
    lead: Estimate = Field(description="ahead less behind")


class Wins(_Part):
    """Who ranks best, context by context, among student alone, distilled student, main teacher and best baseline."""

    part: str = Field("", description="name of a slice; empty: all test contexts")
    contexts: int
    best: dict[str, Estimate] = Field(description="name of a row to the share of contexts where it is best, alone")
    several: Estimate = Field(description="share where more than one are best")
    nobody: Estimate = Field(description="share where none of them lists anything that was taken")


class MapItem(_Part):
    """An item on the map of both spaces."""

    title: str
    group: str = Field("", description="its category, or how popular it is where there are no categories")
    events: int = Field(description="training events")
    teacher: tuple[float, float] = Field(description="its place on the teacher's plane")
    student: tuple[float, float] = Field(description="the same of the student, turned and scaled onto the teacher's")
    near_teacher: tuple[str, ...] = Field((), description="of some items: titles of the nearest items for the teacher")
    near_student: tuple[str, ...] = Field((), description="the same for the student")


class Likeness(_Part):
    """How alike the item space of a row is to the teacher's, in all dimensions."""

    row: str = Field(description="name of a row")
    cka: float | None = Field(description="linear CKA without bias; mean over seeds")
    cka_range: Interval | None = Field(None, description="lowest and highest of the seeds, if there are several")
    neighbours: Estimate = Field(description="share of an item's 10 nearest items for the teacher that are so here too")
    gained: Estimate | None = Field(None, description="neighbours less those of the student alone, on the same items")


class ItemMap(_Part):
    """The item vectors of teacher and student: on two planes with some of the items, and compared in all dimensions."""

    teacher: str = Field(description="whose vectors: the main teacher, a member of it, or an encoder")
    student: str = Field(description="name of the row whose vectors are drawn")
    kept: Interval = Field(description="share of the variance that the plane keeps, of teacher and student")
    items: tuple[MapItem, ...]
    measured: int = Field(description="items that the likeness is over")
    k: int = Field(description="how many of the nearest items are compared")
    likeness: tuple[Likeness, ...]


class Candidate(_Part):
    """One of the trainings among which the objectives were chosen."""

    name: str = Field(description="unique, as shown, for example 'soft labels'")
    about: str = Field("", description="what was tried, such as its terms")
    score: float | None = Field(None, description="best value of the validation metric; None if it did not finish")
    epochs: int | None = Field(None, description="epochs that it was trained")
    seconds: float | None = None
    chosen: bool = False
    reason: str = Field("", description="why it was chosen or not")


class Round(_Part):
    """What a round of asking a language model cost, and what the student gained by it."""

    number: int = Field(description="from 1")
    by: str = Field(description="how its contexts were chosen")
    candidates: str = Field(description="where the candidates came from; 'student': its own first items")
    contexts: int
    lists: int = Field(description="answers that could be used")
    questions: int
    tokens: int = Field(description="read and written")
    money: float
    score: float | None = Field(None, description="of a student that learned from all rounds so far, on validation")
    gain: float | None = Field(None, description="score less that of the round before")


class Asking(_Part):
    """A language model that was asked in rounds, about contexts that the student chose."""

    teacher: str
    metric: str = Field(description="the validation metric of its rounds")
    alone: float = Field(description="score of the student before the first round")
    currency: str = ""
    rounds: tuple[Round, ...]
    ended: str = Field(description="why there were no more")


class Asked(_Part):
    """What was asked of a language model and what it cost, all runs of the job together."""

    teacher: str
    model: str
    questions: dict[str, int] = Field(description="how many were answered, refused, failed, unparsable or empty")
    requests: int | None = Field(None, description="exchanges, repeated ones counted")
    tokens_in: int
    tokens_out: int
    seconds: float = Field(description="of asking")
    money: str = Field("", description="with its currency; empty: no prices were given")
    twice: int = Field(0, description="questions that were with the server when a process died, and were sent again")


class ListenedPart(_Part):
    """Means over training positions of one kind."""

    name: str = Field(
        description="'all', 'ends' of histories, or a kind of history ('short', 'long') or of label ('head', 'tail')"
    )
    positions: int
    answered: float | None = Field(None, description="share where the teacher has a ranking")
    listed: float | None = Field(None, description="share of the labels that its ranking has")
    first: float = Field(description="what its word counted in the first epoch: 0 ignored, 1 fully believed")
    weight: float = Field(description="the same in the last epoch in which it was asked")


class Listened(_Part):
    """How far a term of the distilled student believed a teacher."""

    term: str
    teacher: str
    parts: tuple[ListenedPart, ...]
    silent_from: int | None = Field(None, description="epoch from which on the term had no weight with any seed")
    why: str = Field("", description="what makes it silent")


class Suggestion(_Part):
    """A recommended item; ``hit`` if it is what the user took next."""

    title: str
    hit: bool = False


class TaskResult(_Part):
    """The metric on a task that the student learned beside its own."""

    name: str
    meaning: str = Field("", description="which events count, for example 'types buy'")
    contexts: int = Field(description="test contexts with a target of this task")
    values: dict[str, float] = Field(description="by name of a model")
    intervals: dict[str, Interval] = {}
    gain: Comparison | None = Field(None, description="the student's head for it against the student alone")


class Example(_Part):
    """What each model recommends to one user."""

    history: tuple[str, ...] = Field(description="titles, oldest first")
    target: str | None = Field(None, description="what the user took next")
    lists: dict[str, tuple[Suggestion, ...]] = Field(description="by name of row")


class DataReport(_Part):
    """The data and what happened to it."""

    name: str
    read: int = Field(description="rows read")
    kept: int
    dropped: dict[str, int] = Field({}, description="rows by reason")
    users: int
    items: int
    split: str = Field(description="how it was divided")
    parts: dict[str, int] = Field({}, description="events or contexts in each part of the split")
    licence: str = ""


class Stage(_Part):
    """Time of one stage of the recipe."""

    name: str
    seconds: float
    cached: bool = Field(False, description="taken over from an earlier run; the time is that of the earlier run")


class Reproduce(_Part):
    """All that is needed to get the same numbers again."""

    recipe: str = Field("", description="the YAML text")
    commands: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    fingerprints: dict[str, str] = {}
    hardware: str = ""


class ReportData(_Part):
    """Results of one run."""

    title: str
    metric: str = Field("NDCG@10", description="the metric of verdict and charts")
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...] = Field(
        (), description="paired, at least distilled against alone and baselines; also in slices"
    )
    curves: tuple[Curve, ...] = ()
    slices: tuple[Slice, ...] = ()
    agreements: tuple[Agreement, ...] = Field((), description="of the student's rows, over all contexts and in slices")
    wins: tuple[Wins, ...] = Field((), description="over all contexts first, then in slices")
    item_map: ItemMap | None = None
    choice: tuple[Candidate, ...] = Field((), description="what the objectives were chosen from, if they were")
    choice_metric: str = Field("NDCG@10", description="the validation metric that the candidates were chosen by")
    asked: tuple[Asked, ...] = Field((), description="of language models: what was asked, and what it cost")
    rounds: tuple[Asking, ...] = Field((), description="of language models that were asked in rounds")
    listened: tuple[Listened, ...] = ()
    tasks: tuple[TaskResult, ...] = ()
    examples: tuple[Example, ...] = ()
    data: DataReport | None = None
    stages: tuple[Stage, ...] = ()
    reproduce: Reproduce = Reproduce()

    def of_role(self, role: Role) -> Row | None:
        """The first row in this role that has the metric (the main teacher comes first); of baselines the best one."""
        rows = [row for row in self.rows if row.role == role and self.metric in row.metrics]
        if role == "baseline":
            return max(rows, key=lambda row: row.metrics[self.metric], default=None)
        return rows[0] if rows else None

    def comparison(self, better: Row, than: Row, part: str = "") -> Comparison | None:
        """The paired difference of two rows on the metric, if it was computed, either way round.

        Args:
            better: The row that is reduced by the other.
            than: The other.
            part: Name of a slice, or empty for all test contexts.
        """
        metric = f"{self.metric}/{part}" if part else self.metric
        for c in self.comparisons:
            if c.metric == metric and (c.better, c.than) == (better.name, than.name):
                return c
            if c.metric == metric and (c.than, c.better) == (better.name, than.name):
                return Comparison(
                    better=c.than, than=c.better, metric=c.metric, difference=-c.difference, low=-c.high, high=-c.low
                )
        return None

    def write(self, path: str | Path) -> None:
        """Write the JSON form, atomically."""
        write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> ReportData:
        """Read the JSON form.

        Raises:
            RunError: There is no such file, or it is of another form; the first wrong field is named.
        """
        return read_model(cls, path, absent="run the recipe first", broken="run the recipe again")
