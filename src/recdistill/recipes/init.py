"""A first recipe for somebody's files: sensible for the size of the data, with comments on what to change."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..data import Dataset
from ..training.config import Training
from ..training.few_steps import fitting_batch

__all__ = ["Draft", "draft"]

_MANY_EVENTS = 2_000_000
"""From here on one seed, and a split that asks fewer users."""
_MANY_ITEMS = 50_000
"""From here on a sampled softmax, and items with hardly any event are left out."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe that is not written yet.

    Attributes:
        title: Also the name of its file and run.
        text: YAML with comments.
    """

    title: str
    text: str


def draft(dataset: Dataset, log: str, items: str | None, folder: Path) -> Draft:
    """Write a recipe for files that were read.

    Args:
        dataset: What came out of them; its size and columns decide.
        log: As the user named it.
        items: The same, or None.
        folder: Where the recipe will be; its paths start from there.
    """
    name = Path(items or log).name.partition(".")[0] or "recipe"
    title = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "recipe"
    parts = [_head(title), _data(dataset, _from(folder, log), items and _from(folder, items)), _teachers(dataset)]
    parts += [_student(dataset), _rest(dataset)]
    return Draft(title, "\n".join(parts))


def _head(title: str) -> str:
    return f"""\
# A first recipe, made by looking at the files. Every key is explained in docs/reference/recipe.md;
# recdistill components lists what can stand after type.

title: {title}
"""


def _data(dataset: Dataset, log: str, items: str | None) -> str:
    report = dataset.report
    large = dataset.n_items >= _MANY_ITEMS
    lines = [
        f"data:  # {report['rows_kept']:,} events of {dataset.n_users:,} users with {dataset.n_items:,} items",
        f"  log: {_yaml(log)}",
        items and f"  items: {_yaml(items)}",
        *_guessed(report),
        "  cleaning:",
        "    min_user_events: 3  # one to learn from, one to validate, one to test",
        large and "    min_item_events: 5  # rarer items make the catalogue large and teach little",
        dataset.log.ratings is not None and "    # min_rating: 4  # learn only from what was liked",
        f"  split: {_split(dataset)}",
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _guessed(report: dict[str, Any]) -> list[str]:
    """What was guessed, spelled out so that it can be corrected."""
    guessed = {
        "text": report.get("template"),
        "columns": report.get("columns"),
        "item_columns": report.get("item_columns"),
    }
    notes = {"text": "  # what encoders read about an item", "columns": "  # of the log"}
    return [f"  {key}: {_yaml(value)}{notes.get(key, '')}" for key, value in guessed.items() if value]


def _split(dataset: Dataset) -> str:
    if dataset.log.n_events >= _MANY_EVENTS and dataset.report.get("time_from"):
        return "global-temporal  # tests on the newest events of all, as in production; or: leave-last-out"
    if not dataset.report.get("time_from"):
        return "leave-last-out  # tests on the last row of each user, as no column says when"
    return "leave-last-out  # tests on the newest event of each user; or: global-temporal"


def _teachers(dataset: Dataset) -> str:
    dim = 4 * _dim(dataset)
    if not _has_text(dataset):
        return f"""\
teachers:
  - id: large
    type: recommender
    model: {{type: sasrec, dim: {dim}}}
{_training(dataset)}"""
    return f"""\
teachers:  # what they say is kept in the run directory: each is asked once
  - id: text
    type: text-encoder
  - id: large
    type: recommender
    model: {{type: sasrec, dim: {dim}, text: text}}  # with the item texts inside
{_training(dataset)}"""


def _training(dataset: Dataset, comments: bool = True) -> str:
    """Of a large catalogue a sample, of a small log small batches; nothing where neither is needed."""
    held_out = 2 * dataset.n_users
    batch = fitting_batch(dataset.log.n_events - dataset.n_users - held_out, Training())
    settings, why = [], []
    if dataset.n_items >= _MANY_ITEMS:
        settings, why = ["negatives: 4096"], ["a sample of the catalogue in each step"]
    if batch < Training().batch:
        settings, why = [*settings, f"batch: {batch}"], [*why, "small, as the log is, so that there are steps enough"]
    said = f"  # {'; '.join(why)}" if comments else ""
    return f"    training: {{{', '.join(settings)}}}{said}\n" if settings else ""


def _student(dataset: Dataset) -> str:
    training = _training(dataset, comments=False)
    return f"""\
student:
  model: {{type: sasrec, dim: {_dim(dataset)}}}
  alone:  # the same student without a teacher, to compare with
    objectives: [cross-entropy]
{training}\
  distilled:
    objectives:
      - {{type: cross-entropy, weight: 0.5}}
      - {{type: soft-labels, teacher: large, weight: 0.5, temperature: 1}}
{training}"""


def _rest(dataset: Dataset) -> str:
    seeds = [0] if dataset.log.n_events >= _MANY_EVENTS else [0, 1, 2]
    return f"""\
seeds: {seeds}  # each student is trained once with each; more seeds, surer verdict
evaluate: {{metric: ndcg@10}}
bundle: {{vectors: int8}}  # users: true knows people by their ids, tower: true takes in new items by their texts
"""


def _dim(dataset: Dataset) -> int:
    """Width of the student, growing with the catalogue."""
    return 16 if dataset.n_items < 1_000 else 32 if dataset.n_items < 20_000 else 64


def _has_text(dataset: Dataset) -> bool:
    return any(dataset.items.texts or ())


def _from(folder: Path, name: str) -> str:
    return Path(os.path.relpath(name, folder)).as_posix() if Path(name).exists() else name


def _yaml(value: Any) -> str:
    """One line of YAML."""
    text: str = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.removesuffix("\n...\n").strip()
