"""What a real language model (SmolLM2-135M) adds over ids alone, for frequent, rare and cold items.

The data are the demo's films. A tenth of the items with at least five training events are made cold: their events are
taken out of everything that is learned from or read, but not out of what is asked. Of every user the newest 20 training
events stay, so that three seeds of everything can be paid for on one core. Settings are chosen by NDCG@10 on
validation, which has no cold items, with the first seed; then three seeds are trained. What is trained is kept under
``.cache/bench-llm-gain``, so that an interrupted part goes on.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

import recdistill as rd
from recdistill.cli.demo import RECIPE
from recdistill.data import Cleaning, LeaveLastOut, read
from recdistill.data.dataset import Contexts, Split
from recdistill.data.sequences import Sequences
from recdistill.errors import DataError
from recdistill.evaluation import compare
from recdistill.evaluation.metrics import metric_values
from recdistill.evaluation.ranking import rank
from recdistill.evaluation.slices import slices
from recdistill.knowledge import Knowledge
from recdistill.models import ItemKNN, LLMRecommender, ModelConfig, RankingModel, SASRec
from recdistill.objectives import CrossEntropy, EmbeddingHint, SoftLabels
from recdistill.objectives.base import ObjectiveConfig
from recdistill.pretrained import locate
from recdistill.recipes import load_recipe
from recdistill.recipes.sources import split_data
from recdistill.teachers.llm.backends import Transformers
from recdistill.teachers.llm.candidates import RecommenderCandidates
from recdistill.teachers.llm.tasks import Likelihood
from recdistill.training import Fitted, Training, fit

from .splits import bench_directory

SEEDS = (0, 1, 2)
CONTROLS = SEEDS[:1]
"""Of the network with random weights, which costs as much as the fine-tuned one."""
STUDENT = SASRec(dim=32, blocks=1, heads=2, max_length=20, dropout=0.4)
TRAINING = Training(epochs=16, patience=3, lr=4e-3, batch=1024, weight_decay=0.3)
TEACHER = LLMRecommender(dim=32, layers=2, dropout=0.3, max_length=20, text="smollm2", dtype="float32")
FINE_TUNING = Training(epochs=12, patience=2, lr=2e-3, batch=512, weight_decay=0.1, warmup=20)
TASK = Likelihood(contexts=1000, history=5, candidates=RecommenderCandidates(n=5, model=ItemKNN()))
"""What it is asked as it comes."""
NEWEST, COLD_SHARE, LEAST = 20, 0.1, 5
_USERS = 8_000
_ALIKE = 1e6
"""A temperature at which nothing is left of what was said."""
METRICS = {"all": "ndcg@10", "warm": "recall@10", "tail": "recall@10", "cold": "recall@10"}
"""By slice of what is asked; warm are the items that make up most of the events, tail the others that have some."""
_SLICE = {"warm": "head"}
_KEPT = Path(".cache/bench-llm-gain")

Values = dict[str, npt.NDArray[np.float64]]
"""By slice: the metric of every test context, NaN where none is asked about."""


class World:
    """The data, and what several parts need of them.

    Args:
        data: Name of the data, one of :data:`DATA`.
    """

    def __init__(self, data: str) -> None:
        self.split = _with_cold(DATA[data]())
        self.slices = slices(self.split, self.split.test)
        encoder = rd.teachers.LLMEncoder(layer=0.5)
        self.kept = _KEPT if data == "movies" else _KEPT / data
        self.embeddings = rd.teach(encoder, self.split, name="smollm2", directory=self.kept / "embeddings")
        self._alone: list[Fitted] = []

    def student(
        self, seed: int, objectives: Sequence[ObjectiveConfig] = (CrossEntropy(),), *, config: ModelConfig = STUDENT,
        knowledge: Knowledge | None = None, training: Training = TRAINING,
    ) -> Fitted:  # fmt: skip
        """One training, which is kept and goes on if interrupted; the validation score of its best epoch is said."""
        training = training.replace(seed=seed)
        told = [config.digest(), training.digest(), *(o.digest() for o in objectives), self.split.fingerprint]
        told += [] if knowledge is None else [knowledge.digest()]
        found = fit(
            config, self.split, objectives, knowledge=knowledge, training=training, label=f"{config.name}, seed {seed}",
            directory=_KEPT / "fits" / hashlib.sha256(" ".join(told).encode()).hexdigest()[:16],
        )  # fmt: skip
        print(f"  {config.name} by {[o.name for o in objectives]}, seed {seed}: {valid(found):.4f}", flush=True)
        return found

    def ranked(self, way: str = "its rankings", asked: Likelihood = TASK) -> Knowledge:
        """What the language model, as it comes, answers about a sample of contexts."""
        llm = rd.teachers.LLM(task=asked, backend=Transformers(context=1024))
        return rd.teach(llm, self.split, name="llm", directory=self.kept / way.replace(", ", "-").replace(" ", "-"))

    @property
    def alone(self) -> list[Fitted]:
        """The student by ids alone, a model for each seed."""
        self._alone = self._alone or [self.student(seed) for seed in SEEDS]
        return self._alone

    def measured(self, models: Sequence[RankingModel]) -> Values:
        """Metrics of some models on the test contexts: float ``[models, contexts]`` by slice."""
        lists = [rank(model, self.split.test, 10) for model in models]
        targets = self.split.test.targets
        found = {}
        for name, metric in METRICS.items():
            own = targets if name == "all" else targets.keep(self.slices[_SLICE.get(name, name)].targets)
            found[name] = np.stack([metric_values(ranked, own, metric) for ranked in lists])
        return found

    def gains(self, models: Sequence[RankingModel], over: Sequence[RankingModel]) -> dict[str, Any]:
        """By slice: mean, that of the others, difference with its interval over users, and the verdict."""
        ours, theirs = self.measured(models), self.measured(over)
        out: dict[str, Any] = {}
        for name, metric in METRICS.items():
            c = compare(ours[name], theirs[name], self.split.test.users)
            interval = [round(c.low, 4), round(c.high, 4)]
            out[f"{name} {metric}"] = {
                "mean": round(c.mean, 4), "over": round(c.over, 4), "interval": interval, "verdict": c.verdict,
            }  # fmt: skip
        return out


def valid(fitted: Fitted) -> float:
    """NDCG@10 on validation, of the epoch that was kept."""
    return float(fitted.history[fitted.best_epoch - 1]["valid"]["ndcg@10"])


def chosen(found: Mapping[str, Fitted]) -> str:
    """The best on validation."""
    return max(found, key=lambda name: valid(found[name]))


def embeddings(data: str) -> dict[str, Any]:
    """The language model's vectors of the items' texts."""
    world = World(data)
    ways: dict[str, tuple[ModelConfig, list[ObjectiveConfig]]] = {
        f"hint {weight}": (STUDENT, [CrossEntropy(), EmbeddingHint(teacher="smollm2", weight=weight)])
        for weight in (0.2, 1.0, 4.0)
    }
    ways["inside"] = (STUDENT.replace(text="smollm2"), [CrossEntropy()])

    def train(way: str, seed: int) -> Fitted:
        config, objectives = ways[way]
        return world.student(seed, objectives, config=config, knowledge=world.embeddings)

    first = {way: train(way, SEEDS[0]) for way in ways}
    found: dict[str, Any] = {"valid": {way: round(valid(one), 4) for way, one in first.items()}}
    hint = chosen({way: one for way, one in first.items() if way != "inside"})
    for way in (hint, "inside"):
        models = [first[way].model, *(train(way, seed).model for seed in SEEDS[1:])]
        found[way] = world.gains(models, [one.model for one in world.alone])
    chance = 10 / world.split.n_items
    found_cold = [
        better(found[way], "cold") and found[way][f"cold {METRICS['cold']}"]["mean"] for way in (hint, "inside")
    ]
    return {"reached": max(found_cold) > chance, "recall by chance": round(chance, 4), **found}


def rankings(data: str) -> dict[str, Any]:
    """The language model as it comes: how likely it finds titles, for a sample of contexts.

    Its candidates know something, too: beside it stands what the student learns from the same candidates, all alike.
    """
    world = World(data)
    ways = {"its rankings": TASK, "its candidates, all alike": TASK.replace(temperature=_ALIKE)}
    students: dict[str, list[RankingModel]] = {}
    told: dict[str, Any] = {"contexts at most": TASK.contexts}
    for way, asked in ways.items():
        said = world.ranked(way, asked)

        def train(weight: float, seed: int, said: Knowledge = said) -> Fitted:
            return world.student(seed, [CrossEntropy(), SoftLabels(teacher="llm", weight=weight)], knowledge=said)

        first = {str(weight): train(weight, SEEDS[0]) for weight in (0.3, 3.0)}
        weight = chosen(first)
        students[way] = [first[weight].model, *(train(float(weight), seed).model for seed in SEEDS[1:])]
        told[way] = {"valid": {w: round(valid(one), 4) for w, one in first.items()}, "weight": float(weight)}
    alone = [one.model for one in world.alone]
    its, alike = (world.gains(models, alone) for models in students.values())
    more = world.gains(*students.values())
    told |= {
        "over the student alone": its,
        "candidates over the student alone": alike,
        "rankings over candidates": more,
    }
    return {"reached": better(its, "all") and better(more, "all"), **told}


def fine_tuned(data: str) -> dict[str, Any]:
    """The language model's first blocks as the recommender, and a student of it."""
    world = World(data)
    teachers = [_fine_tuned(world, TEACHER, seed).model for seed in SEEDS]
    alone = [one.model for one in world.alone]
    students = []
    for seed, teacher in zip(SEEDS, teachers, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            said = rd.teach(teacher, world.split, name="llm", directory=Path(folder))
            terms = [CrossEntropy(), SoftLabels(teacher="llm", weight=1.0, temperature=1.0)]
            students.append(world.student(seed, terms, knowledge=said).model)
    random = TEACHER.replace(model=str(_random_weights()))
    controls = [_fine_tuned(world, random, seed).model for seed in CONTROLS]
    over_random, of_student = world.gains(teachers, controls), world.gains(students, alone)
    return {
        "reached": better(over_random, "all") and better(of_student, "all"),
        "blocks": TEACHER.layers,
        "parameters": teachers[0].n_parameters,
        "teacher over the student alone": world.gains(teachers, alone),
        "teacher over random weights": over_random,
        "student over the student alone": of_student,
    }


def better(gains: Mapping[str, Any], part: str) -> bool:
    """Whether a slice is clearly better."""
    return bool(gains[f"{part} {METRICS[part]}"]["verdict"] == "better")


def _fine_tuned(world: World, config: LLMRecommender, seed: int) -> Fitted:
    return world.student(seed, config=config, knowledge=world.embeddings, training=FINE_TUNING)


def _random_weights() -> Path:
    """A folder with a network of the language model's shape, as it was before anybody trained it."""
    import torch
    from transformers import AutoConfig, AutoModel

    folder = _KEPT / "random"
    if not (folder / "config.json").exists():
        found = locate(TEACHER.model)
        shape = AutoConfig.from_pretrained(found.source, gguf_file=found.gguf)
        shape.num_hidden_layers = TEACHER.layers
        torch.manual_seed(0)
        AutoModel.from_config(shape).save_pretrained(folder)
    return folder


def _movies() -> Split:
    recipe = load_recipe(RECIPE)
    with tempfile.TemporaryDirectory() as folder:
        return split_data(recipe.data, recipe.base, Path(folder) / "quarantine.csv")


def _games() -> Split:
    """Users as they are drawn; what they bought stands in the order in which they bought it."""
    place = Path(os.environ.get("RECDISTILL_DATA", bench_directory().parent / "data")) / "amazon-games"
    if not place.exists():
        raise DataError("no such folder", where=place, hint="set RECDISTILL_DATA to the folder that has amazon-games")
    options: dict[str, Any] = {"separator": "\t", "quote_char": None, "schema_overrides": [pl.String, pl.String]}
    rows = pl.read_csv(place / "sequences.tsv.gz", **options).sample(_USERS, seed=0)
    events = rows.select(user="user_id", item=pl.col("item_ids").str.split(" ")).with_columns(
        time=pl.int_ranges(pl.col("item").list.len())
    )
    items = pl.read_csv(place / "items.tsv.gz", **options).rename({"item_id": "item"})
    log = events.explode("item", "time")
    dataset = read(log, items=items, cleaning=Cleaning(min_item_events=LEAST), name="amazon-games")
    return LeaveLastOut().split(dataset)


DATA: dict[str, Callable[[], Split]] = {"movies": _movies, "games": _games}
"""Name to the data."""


def _with_cold(whole: Split) -> Split:
    often = np.flatnonzero(whole.popularity >= LEAST)
    cold = np.random.default_rng(0).permutation(often)[: round(COLD_SHARE * len(often))]
    is_cold = np.isin(np.arange(whole.n_items), cold)

    def without(rows: Sequences) -> Sequences:
        return rows.keep(~is_cold[rows.items])

    train = without(whole.train).last(NEWEST)
    valid = Contexts(whole.valid.users, train.take(whole.valid.users), without(whole.valid.targets))
    test = Contexts(whole.test.users, without(whole.test.history).last(NEWEST), whole.test.targets)
    return Split(whole.dataset, train, valid, test, f"{whole.method}, {len(cold)} items cold, newest {NEWEST}")
