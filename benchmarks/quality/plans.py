"""What is taught by whom on each quality benchmark, with all settings; every one was chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recdistill.errors import ConfigError, nearest
from recdistill.models import FISM, HSTU, MF, LightGCN, ModelConfig, SASRec
from recdistill.objectives import OBJECTIVES, CrossEntropy, HardLabels, SoftLabels
from recdistill.objectives.base import ObjectiveConfig
from recdistill.teachers import TextEncoder
from recdistill.teachers.encoder import Encoder
from recdistill.training import Training

__all__ = ["PLANS", "Arm", "Plan", "TrainedTeacher"]


@dataclass(frozen=True, slots=True)
class TrainedTeacher:
    """A large model that is trained for the benchmark.

    Attributes:
        model: Its parameters.
        training: Of the loop.
        copies: How many of it, with different seeds, are members of the ensemble.
    """

    model: ModelConfig
    training: Training
    copies: int = 1

    def named(self, name: str) -> dict[str, TrainedTeacher]:
        """Every copy by its name, the first by that of all."""
        seeds = range(self.copies)
        return {f"{name}-{n + 1}" if n else name: replace(self, training=self.training.replace(seed=n)) for n in seeds}


@dataclass(frozen=True, slots=True)
class Arm:
    """How the student is trained, with or without a teacher.

    Attributes:
        objectives: Loss terms; distillation terms read the rankings of the ensemble.
        training: Parameters of the loop.
        parameters: Of the student, where this arm needs others (dropout, for example).
    """

    objectives: tuple[ObjectiveConfig, ...]
    training: Training
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A benchmark's teachers and student.

    Attributes:
        bench: Name of its split.
        ordered: Whether a benchmark of sets is read in the order of item ids, which its split follows.
        baselines: Tuned baselines that are teachers, too.
        teachers: Further teachers by name.
        student: The small model.
        alone: Its best training without a teacher.
        distilled: Its best training with one.
        k: Items in a stored ranking.
        encoders: Item embeddings by name, which teachers or student have inside.
    """

    bench: str
    baselines: tuple[str, ...]
    teachers: Mapping[str, TrainedTeacher]
    student: ModelConfig
    alone: Arm
    distilled: Arm
    k: int = 100
    ordered: bool = False
    encoders: Mapping[str, Encoder] = field(default_factory=dict)

    @property
    def trained(self) -> dict[str, TrainedTeacher]:
        """All copies of all further teachers by name."""
        return {of: copy for name, teacher in self.teachers.items() for of, copy in teacher.named(name).items()}

    def arm(self, method: str, weight: float = 1.0) -> Arm:
        """``alone``, ``auto`` (the best that was found), or a method with its paper's defaults beside the task.

        Args:
            method: Its name; several are joined with ``+``, as in ``rrd+ir-rrd``.
            weight: What those of the method are multiplied with.

        Raises:
            ConfigError: There is no such method.
        """
        if method in ("alone", "auto"):
            return self.alone if method == "alone" else self.distilled
        terms: list[ObjectiveConfig] = [CrossEntropy()]
        for name in method.split("+"):
            if name not in OBJECTIVES:
                raise ConfigError(f"no method is called {name!r}", hint=nearest(name, [*OBJECTIVES, "auto", "alone"]))
            term = OBJECTIVES[name].load()()
            usual = term.weight
            terms.append(term.replace(weight=usual.replace(start=weight * usual.start, end=weight * usual.end)))
        return Arm(tuple(terms), self.alone.training, self.alone.parameters)


_CITEULIKE_TEACHERS = {
    "mf": TrainedTeacher(
        MF(dim=400, bias=False, dropout=0.5), Training(batch=256, lr=3e-3, epochs=40, weight_decay=0.1, patience=5)
    ),
    "lightgcn": TrainedTeacher(
        LightGCN(dim=256, layers=2, dropout=0.3),
        Training(batch=512, lr=5e-3, epochs=40, weight_decay=0.01, patience=5),
    ),
}
_SHORT = Training(epochs=40, patience=10, lr_decay="cosine")
_SAMPLED = Training(
    epochs=24, patience=4, evaluate_every=2, lr_decay="cosine", batch=1024, lr=2e-3, negatives=1024, negatives_power=0.5
)
_CITEULIKE = Plan(
    bench="citeulike-topology",
    baselines=("ease", "item-knn"),
    teachers=_CITEULIKE_TEACHERS,
    student=MF(dim=20, bias=False),
    alone=Arm((CrossEntropy(),), _SHORT.replace(batch=256, lr=1e-1, weight_decay=0.3), {"dropout": 0.3}),
    distilled=Arm((HardLabels(k=100, decay=20),), _SHORT.replace(batch=64, lr=2e-2, weight_decay=0.01)),
)
_RCEKD = replace(
    _CITEULIKE,
    bench="citeulike-rcekd",
    teachers=_CITEULIKE_TEACHERS | {"lightgcn": replace(_CITEULIKE_TEACHERS["lightgcn"], copies=3)},
    distilled=Arm((HardLabels(k=100, decay=4),), _SHORT.replace(batch=64, lr=2e-2, weight_decay=0.01)),
)
_ORDERED = replace(
    _RCEKD,
    ordered=True,
    baselines=("item-knn",),
    teachers={"hstu": TrainedTeacher(HSTU(dim=128, dropout=0.4, max_length=50), _SAMPLED)},
)

_BEAUTY = Plan(
    bench="amazon-beauty",
    baselines=(),
    teachers={
        "sasrec": TrainedTeacher(
            SASRec(dim=128, dropout=0.5, max_length=50, text="minilm"), _SAMPLED.replace(lr=1.5e-3)
        ),
        "fism": TrainedTeacher(
            FISM(dim=256, dropout=0.6, max_length=50, text="minilm"), _SAMPLED.replace(lr=5e-3, weight_decay=0.1)
        ),
    },
    encoders={"minilm": TextEncoder()},
    student=FISM(dim=64, dropout=0.4, max_length=50, text="minilm"),
    alone=Arm((CrossEntropy(),), _SAMPLED.replace(lr=1e-2, weight_decay=0.1)),
    distilled=Arm((SoftLabels(temperature=1.0),), _SAMPLED.replace(lr=1e-2, weight_decay=0.1)),
)

_ALKDREC = Plan(
    bench="alkdrec-ml",
    baselines=("item-knn", "ease"),
    teachers={},
    student=FISM(dim=10, max_length=50, dropout=0.0),
    alone=Arm((CrossEntropy(),), _SHORT.replace(batch=1024, lr=3e-2, weight_decay=0.1), {"dropout": 0.1}),
    distilled=Arm(
        (HardLabels(k=100, decay=10, debias=0.3),), _SHORT.replace(batch=1024, lr=3e-2, weight_decay=0.01, epochs=12)
    ),
)

PLANS: dict[str, Plan] = {
    "citeulike-topology": _CITEULIKE,
    "citeulike-rcekd": _RCEKD,
    "citeulike-rcekd-ordered": _ORDERED,
    "amazon-beauty": _BEAUTY,
    "alkdrec-ml": _ALKDREC,
    "alkdrec-games": replace(_ALKDREC, bench="alkdrec-games"),
}
"""Name of a benchmark to its plan."""
