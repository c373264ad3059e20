"""What goes in and out over HTTP: the types, their limits, and an example of each."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints, model_validator

__all__ = [
    "Added",
    "Answer",
    "Answers",
    "Card",
    "Compare",
    "Comparison",
    "Event",
    "Events",
    "Ids",
    "Item",
    "Items",
    "NewItem",
    "NewItems",
    "Popular",
    "Problem",
    "Recommend",
    "RecommendMany",
    "Recommended",
    "Report",
    "Search",
    "SearchMany",
    "Shown",
    "Similar",
    "SimilarMany",
    "Stored",
    "Varied",
]

BATCH = 1_000
"""Questions in one batch, at most."""
MOST = 1_000
"""Items in one list, at most."""
AT_ONCE = 50_000
"""Items that the questions of one batch may look at: the lists, or the pools that they are chosen from."""
POOL = 1_000
"""Items of a pool, at most."""
LONGEST = 10_000
"""Events of one history, at most."""

Id = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Time = Annotated[FiniteFloat, Field(ge=0, le=1e11)]
Count = Annotated[int, Field(ge=1, le=MOST, description="items, at most")]


class _In(BaseModel):
    """A question; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _example(*examples: dict[str, Any]) -> ConfigDict:
    return ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra={"examples": list(examples)})


class Varied(_In):
    """How a list is made more varied."""

    weight: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0
    per_category: Annotated[int, Field(ge=1)] | None = None
    pool: Annotated[int, Field(ge=1, le=POOL)] = 100


Where = Annotated[
    dict[str, Any] | None,
    Field(description='which items may come, such as {"category": ["Comedy"]} or {"not": {"items": ["1"]}}'),
]


class _Many(_In):
    @model_validator(mode="after")
    def _modest(self) -> Self:
        asked = 0
        for question in self.__dict__["requests"]:
            varied = getattr(question, "diversity", None)
            asked += question.n if varied is None else max(question.n, varied.pool)
        if asked > AT_ONCE:
            raise ValueError(f"lists and pools of {asked:,} items together, at most {AT_ONCE:,}; send several batches")
        return self


class Recommend(_In):
    """For whom: a history, or a user whose history the event store knows; nobody: what is popular."""

    model_config = _example({"history": ["1", "50"], "n": 5}, {"user": "u17"})

    user: Id | None = Field(None, description="decides which variant answers; gives the history if there is none")
    history: Annotated[list[Id], Field(max_length=LONGEST)] | None = Field(None, description="item ids, oldest first")
    n: Count = 10
    exclude_history: bool = Field(True, description="leave out what is in the history")
    deny: Annotated[list[Id], Field(max_length=LONGEST)] = Field([], description="items that must not come")
    where: Where = None
    diversity: Varied | None = None


class RecommendMany(_Many):
    """Several at once."""

    model_config = _example({"requests": [{"history": ["1"]}, {"history": ["50", "1"], "n": 3}]})

    requests: Annotated[list[Recommend], Field(min_length=1, max_length=BATCH)]


class Similar(_In):
    """Which item."""

    model_config = _example({"item": "1", "n": 5})

    item: Id
    n: Count = 10
    where: Where = None
    diversity: Varied | None = None


class SimilarMany(_Many):
    """Several at once."""

    model_config = _example({"requests": [{"item": "1"}, {"item": "50", "n": 3}]})

    requests: Annotated[list[Similar], Field(min_length=1, max_length=BATCH)]


class Popular(_In):
    """How many."""

    model_config = _example({"n": 5})

    n: Count = 10
    trending: bool = Field(False, description="recent events weigh more")
    where: Where = None
    diversity: Varied | None = None


class Search(_In):
    """Which words."""

    model_config = _example({"text": "toy story", "n": 5})

    text: Annotated[str, StringConstraints(max_length=500)]
    n: Count = 10
    where: Where = None


class SearchMany(_Many):
    """Several at once."""

    model_config = _example({"requests": [{"text": "toy story"}, {"text": "space", "n": 3}]})

    requests: Annotated[list[Search], Field(min_length=1, max_length=BATCH)]


class Event(_In):
    """Somebody did something with an item."""

    model_config = _example({"id": "e-1", "user": "u17", "item": "50", "type": "click"})

    id: Id = Field(description="chosen by you; the same id again is the same event again")
    user: Id
    item: Id
    type: Kind = Field("click", description="dislike, impression and skip are stored but are no part of a history")
    time: Annotated[FiniteFloat, Field(ge=0, le=1e11)] | None = Field(
        None, description="seconds since 1970; default: now; what lies ahead counts as now"
    )
    value: FiniteFloat | None = Field(None, description="of a rating or a purchase")


class Events(_In):
    """Events to store."""

    model_config = _example({"events": [{"id": "e-1", "user": "u17", "item": "50", "type": "click"}]})

    events: Annotated[list[Event], Field(min_length=1, max_length=BATCH)]


class Ids(_In):
    """Items to describe."""

    model_config = _example({"items": ["1", "50"]})

    items: Annotated[list[Id], Field(min_length=1, max_length=BATCH)]


class NewItem(_In):
    """An item that nobody has seen yet."""

    item: Id
    text: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    title: Annotated[str, StringConstraints(max_length=256)] = Field("", description="default: the id")
    categories: Annotated[list[Id], Field(max_length=100)] = []


class NewItems(_In):
    """Items to take in; all of them, or those before the first that cannot be."""

    model_config = _example({"items": [{"item": "new-1", "title": "A film", "text": "A comedy about two robbers."}]})

    items: Annotated[list[NewItem], Field(min_length=1, max_length=100)]


class Compare(_In):
    """A history that every model of the run is asked for."""

    model_config = _example({"history": ["1", "50"], "n": 5})

    history: Annotated[list[Id], Field(max_length=200)] = Field([], description="item ids, oldest first")
    n: Annotated[int, Field(ge=1, le=50, description="items, at most")] = 10


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Recommended(_Out):
    """An item of a list; scores compare only within one list."""

    item: str
    title: str
    score: float


class Answer(_Out):
    """A list, best first."""

    items: list[Recommended]
    variant: str = Field(description="which variant of the deployment answered")
    bundle: str = Field(description="fingerprint of its bundle")
    unknown: list[str] = Field(description="ids of the question that are not in the catalogue; they were ignored")


class Answers(_Out):
    """A list for each question, in their order."""

    answers: list[Answer]


class Item(_Out):
    """What is known about an item."""

    item: str
    title: str
    categories: list[str]
    popularity: int = Field(description="events in the data that the bundle was made from")


class Items(_Out):
    """Items, and the ids that are none."""

    items: list[Item]
    unknown: list[str]


class Stored(_Out):
    """How many events were stored, and how many were there already."""

    stored: int
    known: int


class Card(_Out):
    """What is served."""

    deployment: int
    variants: list[dict[str, Any]]
    refused: str = Field(description="why the newest deployment is not served; empty if it is")
    card: dict[str, Any] = Field(description="model card of the first variant")


class Added(_Out):
    """The items that were taken in, each with those most like it."""

    items: list[dict[str, Any]]


class Comparison(_Out):
    """A list of each model, and why they differ."""

    lists: list[dict[str, Any]]
    teacher: dict[str, Any] | None = Field(description="its stored list, if there is one for this history")
    why: list[str]


class Shown(_Out):
    """What there is to compare."""

    examples: list[dict[str, Any]] = Field(description="histories that the teacher's lists are stored for")
    teacher: str | None
    new_items: bool = Field(description="whether items can be added")
    pictures: bool = Field(description="whether items have pictures")


class Report(_Out):
    """Variants side by side."""

    deployment: int
    variants: list[dict[str, Any]]


class Problem(_Out):
    """What went wrong, in one line."""

    error: str
    request: str = Field(description="id of the request, as in the log")
