"""What the language models of a recipe will cost, from the run directory that their answers go to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..stages import NotDone
from ..teachers.llm.candidates import CANDIDATES
from .run import Run
from .schema import Recipe, TeacherSpec
from .teach import described

if TYPE_CHECKING:
    from ..knowledge import Knowledge
    from ..teachers.llm.estimate import Estimate
    from ..teachers.llm.teacher import LLM

__all__ = ["Forecast", "forecasts"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What one teacher will cost.

    Attributes:
        teacher: Its id.
        task: What it is asked.
        estimate: The numbers.
        currency: Of money.
        budget: What the recipe allows, in words, and whether that is enough; None if it sets no limit.
        notes: What the numbers do not say.
    """

    teacher: str
    task: str
    estimate: Estimate
    currency: str
    budget: str | None
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def forecasts(recipe: Recipe, directory: str | Path, sample: int = 32) -> list[Forecast]:
    """What each language model of a recipe will cost.

    The data are read into the run directory as by a run. A teacher whose candidates come from another one that has not
    been taught yet is asked about random candidates instead, which are of like length.

    Args:
        recipe: The experiment.
        directory: The run directory.
        sample: Questions to ask each at most.

    Raises:
        TeacherError: A model cannot be asked.
    """
    run = Run(recipe, Path(directory))
    asking = [spec for spec in recipe.teachers if spec.type == "llm"]
    with run.claimed():
        return [_forecast(run, spec, sample) for spec in asking]


def _forecast(run: Run, spec: TeacherSpec, sample: int) -> Forecast:
    from ..teachers.llm.estimate import estimate

    whole: LLM = described(run.recipe, spec)  # type: ignore[assignment]
    llm = whole.at_most()
    knowledge, notes = _knowledge(run, llm.task.uses())
    if whole.select is not None:
        notes += ("of all rounds, about contexts at random: the student chooses others, and may end earlier",)
    if knowledge is None:
        random = CANDIDATES["random"].load()(n=llm.task.candidates.n)  # type: ignore[attr-defined]
        llm = llm.replace(task=llm.task.replace(candidates=random))
    place = run.directory / "stages" / "teach" / spec.id / "estimate"  # beside the stage, where its journal is
    found = estimate(llm, run.split_of(run.recipe.task_of(spec)), place, spec.id, knowledge, sample)
    return Forecast(spec.id, llm.task.name, found, llm.prices.currency, _budget(llm, found), notes)


def _knowledge(run: Run, uses: tuple[str, ...]) -> tuple[Knowledge | None, tuple[str, ...]]:
    """Of the teachers that its questions need; None if one of them has not been taught."""
    run.data  # noqa: B018  # the only stage that an estimate does
    try:
        with run.stages.only_finished():
            return run.knowledge_of(uses), ()
    except NotDone:
        names = ", ".join(uses)
        note = f"{names} has not been taught yet: asked about random candidates, whose answers the run cannot use"
        return None, (note,)


def _budget(llm: LLM, found: Estimate) -> str | None:
    """The first limit that the job will hit, or that all are enough; what it has cost before counts too."""
    b, spent = llm.budget, found.spent
    paid = llm.prices.of(spent.sent, spent.tokens_in, spent.tokens_out)
    limits: tuple[tuple[str, float | None, float | None], ...] = (
        ("money", b.money, None if found.money is None else paid + found.money.high),
        ("tokens", b.tokens, spent.tokens_in + spent.tokens_out + found.tokens_in.high + found.tokens_out.high),
        ("requests", b.requests, float(spent.sent + found.requests)),
        ("hours", b.hours, None if found.seconds is None else (spent.seconds + found.seconds.high) / 3600),
    )
    known = [(name, limit, value) for name, limit, value in limits if limit is not None]
    if not known:
        return None
    short = [name for name, limit, value in known if value is not None and value > limit]
    units = {"money": llm.prices.currency}
    words = ", ".join(f"{limit:g} {units.get(name, name)}" for name, limit, _ in known)
    return f"{words}: " + (f"not enough {' and '.join(short)} for what is left" if short else "enough for what is left")
