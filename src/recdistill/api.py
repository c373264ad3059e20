"""The whole path in a few calls; the same rooms that recipes use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .config import Config
from .data import Dataset, LeaveLastOut, Split, SplitConfig
from .errors import ConfigError, KnowledgeError
from .files import read_json, write_json
from .models.base import ModelConfig, RankingModel, VectorModel, load_model

if TYPE_CHECKING:
    from .compression.chain import Compressed
    from .compression.steps.base import Step
    from .evaluation import Evaluation
    from .knowledge import Knowledge
    from .objectives.base import ObjectiveConfig
    from .teachers.base import TeacherConfig
    from .training import Fitted, Training
    from .training.live.base import LiveConfig

__all__ = [
    "bundle",
    "compress",
    "default_objectives",
    "distill",
    "distill_chain",
    "evaluate",
    "fit",
    "learn_together",
    "split",
    "teach",
]

_HOME = Path(".recdistill")
"""Where knowledge goes that nobody named a place for; found again by teacher and data."""
_SHAPED = "shaped.json"
"""File beside a model that was fitted to teach: a hash of what it depends on."""


def split(data: Dataset | Split, method: SplitConfig | None = None) -> Split:
    """Hold events out; a split stays as it is.

    Args:
        data: What was read.
        method: How; leave-last-out if None.
    """
    if isinstance(data, Split):
        return data
    if not isinstance(data, Dataset):
        raise ConfigError(f"{data!r:.80} is no dataset", key=("data",), hint="read it: recdistill.read(…)")
    return (method or LeaveLastOut()).split(data)


def fit(
    model: ModelConfig,
    data: Dataset | Split,
    *,
    knowledge: Knowledge | None = None,
    objectives: Sequence[ObjectiveConfig] | None = None,
    training: Training | None = None,
    live: Sequence[LiveConfig] = (),
    models: Mapping[str, RankingModel] | None = None,
    directory: str | Path | None = None,
) -> RankingModel:
    """Fit any model; see :func:`recdistill.training.fit`.

    Args:
        model: Which, with its parameters.
        data: Dataset (then leave-last-out) or split.
        knowledge: For models with text inside and for distillation objectives.
        objectives: Loss terms; cross-entropy if None.
        training: Parameters of the loop.
        live: Teachers that change while the model learns.
        models: Fitted teachers by name, for live teachers that ask them.
        directory: For the log and for resuming.
    """
    return _fit(
        model, split(data), objectives,
        knowledge=knowledge, training=training, live=live, models=models, directory=directory,
    ).model  # fmt: skip


def teach(
    teacher: Config | RankingModel,
    data: Dataset | Split,
    *,
    knowledge: Knowledge | None = None,
    name: str | None = None,
    k: int = 100,
    objectives: Sequence[ObjectiveConfig] | None = None,
    training: Training | None = None,
    snapshots: int = 0,
    student: ModelConfig | None = None,
    directory: str | Path | None = None,
) -> Knowledge:
    """Let a teacher say what it knows about the data, and store it.

    An encoder leaves item embeddings. A recommender, given as its parameters or already fitted, leaves its rankings at
    every training position and, if it has vectors of users and items, those too, with its weights. One that learns from
    other teachers is a teacher assistant: give it their ``knowledge``, and ``objectives`` that read it.

    Args:
        teacher: ``teachers.TextEncoder(…)``, ``models.SASRec(…)``, or a fitted model or ensemble.
        data: Dataset (then leave-last-out) or split.
        knowledge: Of other teachers, for models with text inside and for distillation objectives.
        name: What objectives call this teacher; the component's name if None.
        k: Items stored for each position.
        objectives: Loss terms of a recommender that is fitted here; cross-entropy if None.
        training: How a recommender is fitted; with ``exclude_history=False`` it ranks items of the history, too.
        snapshots: So many states of a recommender that is trained here label too, from the way to its best epoch, as
            ``NAME@1`` (the earliest), ``NAME@2`` and so on.
        student: Who chooses the contexts that a language model with ``select`` is asked about; ``objectives`` and
            ``training`` are then the student's.
        directory: Where the stores go; ``.recdistill/NAME-HASH`` if None. What is there already is not asked again.

    Returns:
        The stores, ready to be joined with ``+``.
    """
    from .knowledge import Knowledge
    from .teachers.base import TeacherConfig

    whole, exclude_seen = split(data), getattr(training, "exclude_history", True)
    if isinstance(teacher, TeacherConfig):
        name = name or teacher.name
        data_hash = whole.fingerprint if teacher.reads_log() else whole.dataset.items.fingerprint
        if student is not None:
            chosen = _hash(student, training, knowledge, *(objectives or ()))
            place = Path(directory or _HOME / f"{name}-{teacher.digest()}-{chosen}-{data_hash}")
            known = knowledge or Knowledge()
            return _teach_in_rounds(teacher, whole, place, name, known, student, objectives, training)
        place = Path(directory or _HOME / f"{name}-{teacher.digest()}-{data_hash}")
        teacher.teach(whole, place, name=name, knowledge=knowledge)
        return Knowledge.open(place)
    if isinstance(teacher, ModelConfig):
        name = name or teacher.name
        shaped = _hash(teacher, training, knowledge, *(objectives or ())) + (f"-{snapshots}" if snapshots else "")
        place = Path(directory or _HOME / f"{name}-{shaped}-{whole.fingerprint}")
        _see_that_it_is_ours(place, teacher, shaped)
        if snapshots or not (place / "model").exists():
            from .teachers.recommender import label_snapshots

            fitted = _fit(teacher, whole, objectives, knowledge=knowledge, training=training, directory=place / "fit",
                          snapshots=snapshots)  # fmt: skip
            fitted.model.save(place / "model")
            write_json(place / _SHAPED, {"shaped": shaped})
            label_snapshots(fitted.snapshots, whole, place, name, k, exclude_seen=exclude_seen)
        return _label(load_model(place / "model"), whole, place, name, k, exclude_seen)
    if isinstance(teacher, RankingModel):
        if directory is None:
            raise ConfigError("a fitted teacher needs a directory for its knowledge", key=("directory",))
        return _label(teacher, whole, Path(directory), name or teacher.config.name or "teacher", k, exclude_seen)
    raise ConfigError(f"{type(teacher).__name__} is neither a teacher nor a model", key=("teacher",))


def distill(
    student: ModelConfig,
    data: Dataset | Split,
    knowledge: Knowledge,
    *,
    objectives: Sequence[ObjectiveConfig] | None = None,
    training: Training | None = None,
    live: Sequence[LiveConfig] = (),
    models: Mapping[str, RankingModel] | None = None,
    directory: str | Path | None = None,
) -> RankingModel:
    """Train a student on its task and on what its teachers know.

    Args:
        student: Which model, how large.
        data: The dataset or split that the knowledge was made from.
        knowledge: From :func:`teach`.
        objectives: Loss terms; :func:`default_objectives` if None.
        training: Parameters of the loop.
        live: Teachers that change while the student learns; objectives read them by their ``id``.
        models: Fitted teachers by name, for live teachers that ask them.
        directory: For the log and for resuming.
    """
    terms = default_objectives(knowledge) if objectives is None else objectives
    if objectives is None and not live and not any(term.is_taught for term in terms):
        what = "no teacher left rankings or item embeddings, by which a student learns if no objectives are named"
        raise KnowledgeError(what, hint="teach first, or name objectives that read what there is")
    return fit(student, data, knowledge=knowledge, objectives=terms, training=training, live=live, models=models,
               directory=directory)  # fmt: skip


def distill_chain(
    models: Sequence[ModelConfig],
    data: Dataset | Split,
    *,
    knowledge: Knowledge | None = None,
    objectives: Sequence[ObjectiveConfig] | None = None,
    training: Training | None = None,
    directory: str | Path | None = None,
) -> RankingModel:
    """Teach along a chain: every model learns from the one before it, the first from the labels alone.

    A large teacher, assistants that get smaller, the student (Mirzadeh et al. 2020, https://arxiv.org/abs/1902.03393);
    or the same model several times, which is a born-again network (Furlanello et al. 2018,
    https://arxiv.org/abs/1805.04770). For settings that differ from link to link, call :func:`teach` for each.

    Args:
        models: From the teacher to the student, two at least.
        data: Dataset (then leave-last-out) or split.
        knowledge: Of teachers that all may read, such as text embeddings.
        objectives: Loss terms of all models but the first; :func:`default_objectives` if None. A term without a
            ``teacher`` reads the model before.
        training: Parameters of the loop.
        directory: Holds ``link-1``, ``link-2`` and so on, each with a model and what it taught; ``.recdistill`` if
            None. What is there is not done again.

    Returns:
        The student.
    """
    from .knowledge import Knowledge

    if len(models) < 2:
        raise ConfigError("a chain has two models at least", key=("models",), hint="put a teacher before the student")
    shared, whole, before = knowledge or Knowledge(()), split(data), Knowledge(())
    for number, model in enumerate(models[:-1], start=1):
        terms = None if number == 1 else objectives or default_objectives(shared + before)
        place = None if directory is None else Path(directory) / f"link-{number}"
        before = teach(model, whole, knowledge=shared + before, name=f"link-{number}", objectives=terms,
                       training=training, directory=place)  # fmt: skip
    last = None if directory is None else Path(directory) / f"link-{len(models)}"
    return distill(models[-1], whole, shared + before, objectives=objectives, training=training, directory=last)


def learn_together(
    models: Sequence[ModelConfig],
    data: Dataset | Split,
    *,
    weight: float = 1.0,
    temperature: float = 1.0,
    training: Training | None = None,
    directory: str | Path | None = None,
) -> list[RankingModel]:
    """Mutual learning: models are trained in the same steps, each on the labels and on what all others rank then.

    For other objectives, or learning rates of their own, use :func:`recdistill.training.fit` with
    :class:`recdistill.training.Peer`.

    Args:
        models: The student first, two at least; all read the same contexts.
        data: Dataset (then leave-last-out) or split.
        weight: Of the soft labels of the others, together, beside cross-entropy.
        temperature: Of the soft labels.
        training: Parameters of the loop; training stops when the first model no longer gets better.
        directory: For the log and for resuming.

    Returns:
        All of them in the order given, each with the weights of its own best epoch.
    """
    from .objectives import CrossEntropy, SoftLabels
    from .training import Peer
    from .training import fit as run_fit

    if len(models) < 2:
        raise ConfigError("two models at least learn together", key=("models",), hint="use fit for one")
    names = ["student", *(f"peer-{number}" for number in range(1, len(models)))]

    def terms(own: str) -> list[ObjectiveConfig]:
        share = weight / (len(names) - 1)
        others = (name for name in names if name != own)
        return [CrossEntropy(), *(SoftLabels(teacher=name, temperature=temperature, weight=share) for name in others)]

    beside = zip(names[1:], models[1:], strict=True)
    peers = [Peer(id=name, model=model, objectives=terms(name)) for name, model in beside]
    fitted = run_fit(models[0], split(data), terms(names[0]), training=training, live=peers, directory=directory)
    return [fitted.model, *fitted.beside.values()]


def default_objectives(knowledge: Knowledge) -> list[ObjectiveConfig]:
    """Cross-entropy, soft labels of the last teacher that left rankings, a hint of the first that embedded items."""
    from .objectives.defaults import default_objectives as of

    return of(knowledge)


def evaluate(
    model: RankingModel,
    data: Dataset | Split,
    *,
    beside: Sequence[RankingModel | ModelConfig] = (),
    part: str = "test",
    k: tuple[int, ...] = (5, 10, 20),
    exclude_history: bool = True,
) -> Evaluation:
    """Measure a model, and others beside it, on the same contexts by full ranking.

    Args:
        model: A fitted model.
        data: The dataset or split it was fitted on.
        beside: Fitted models, or parameters of models of closed form, which are fitted here.
        part: ``"test"`` or ``"valid"``.
        k: Cutoffs.
        exclude_history: Recommend no item of a context's history; False for data in which people come back to items.
    """
    from .evaluation import evaluate as run_evaluate

    whole = split(data)
    models: dict[str, RankingModel] = {model.config.name or "model": model}
    for other in beside:
        fitted = other if isinstance(other, RankingModel) else fit(other, whole)
        models[_free(fitted.config.name, models)] = fitted
    return run_evaluate(models, whole, part=part, k=k, exclude_history=exclude_history)


def compress(
    model: RankingModel,
    data: Dataset | Split,
    knowledge: Knowledge | None = None,
    *,
    steps: Sequence[Step | str] | None = None,
    under: str | int | None = None,
    faster_than: str | float | None = None,
    max_drop: str | float = 0.005,
    objectives: Sequence[ObjectiveConfig] | None = None,
    training: Training | None = None,
    directory: str | Path | None = None,
) -> Compressed:
    """Make a fitted model smaller behind a rank gate; see :func:`recdistill.compression.compress`.

    Args:
        model: A fitted model.
        data: The dataset or split it was fitted on.
        knowledge: What its teachers said, for recovery training; without rankings the uncompressed model teaches.
        steps: Names or ``compression.PQ(parts=8)`` and so on, in their order; those that suit the model if None.
        under: Largest bundle that may be picked, as in ``"2MB"``.
        faster_than: Longest median recommendation that may be picked, as in ``"0.1ms"``.
        max_drop: Share of NDCG@10 on validation that a step may cost, as in ``"0.5%"``.
        objectives: Loss terms of recovery training.
        training: Its loop.
        directory: Holds the steps, so that none is done twice; a folder in ``.recdistill`` if None.

    Returns:
        Every candidate in ``outcome``; ``bundle(path)`` writes the one that was picked.
    """
    from .compression import STEPS, Gate
    from .compression.budget import Budget
    from .compression.chain import compress as run_compress

    whole = split(data)
    wanted = None if steps is None else [STEPS[step].load()() if isinstance(step, str) else step for step in steps]
    found: Compressed = run_compress(
        model, whole, steps=wanted, knowledge=knowledge, objectives=objectives, training=training,
        gate=Gate(max_drop=max_drop), budget=Budget(under=under, faster_than=faster_than),
        directory=directory or _HOME / f"compress-{whole.fingerprint}",
    )  # fmt: skip
    return found


def bundle(model: RankingModel, data: Dataset | Split, path: str | Path, **settings: Any) -> Path:
    """Write what is served; see :func:`recdistill.compression.write_bundle`.

    Args:
        model: A fitted model.
        data: Gives the catalogue.
        path: Directory to make.
        settings: ``vectors``, ``card``.
    """
    from .compression import write_bundle

    dataset = data.dataset if isinstance(data, Split) else data
    place: Path = write_bundle(model, dataset, path, **settings)
    return place


def _fit(model: ModelConfig, data: Split, objectives: Sequence[ObjectiveConfig] | None, **settings: Any) -> Fitted:
    from .objectives import CrossEntropy
    from .training import fit as run_fit

    return run_fit(model, data, [CrossEntropy()] if objectives is None else objectives, **settings)


def _teach_in_rounds(
    teacher: TeacherConfig, data: Split, place: Path, name: str, knowledge: Knowledge, student: ModelConfig,
    objectives: Sequence[ObjectiveConfig] | None, training: Training | None,
) -> Knowledge:  # fmt: skip
    from .knowledge import Knowledge
    from .teachers.llm.rounds import label_in_rounds
    from .teachers.llm.teacher import LLM
    from .training.pupil import Pupil

    if not isinstance(teacher, LLM) or teacher.select is None:
        raise ConfigError(f"{name} chooses no contexts", key=("student",), hint="leave it out, or give the LLM select=")
    label_in_rounds(teacher, data, place, name, knowledge, Pupil(student, data, knowledge, objectives, training))
    return Knowledge.open(place)


def _see_that_it_is_ours(place: Path, teacher: ModelConfig, shaped: str) -> None:
    """Refuse a directory in which another model, or one that was taught otherwise, has left its knowledge."""
    if not (place / "model").exists():
        return
    found = load_model(place / "model").config
    same = read_json(place / _SHAPED)["shaped"] == shaped if (place / _SHAPED).exists() else found == teacher
    if not same:
        what = "a model with other parameters" if found != teacher else "the same model, taught otherwise,"
        hint = "choose another directory, or remove this one"
        raise KnowledgeError(f"{what} has left its knowledge here", where=place, hint=hint)


def _label(model: RankingModel, data: Split, place: Path, name: str, k: int, exclude_seen: bool) -> Knowledge:
    from .knowledge import Knowledge
    from .teachers.ensemble import calibrated
    from .teachers.own_vectors import leave_vectors
    from .teachers.recommender import RecommenderTeacher

    if isinstance(model, VectorModel):
        leave_vectors(model, data, place, name)
    fused = calibrated(name, model, data.valid, exclude_seen=exclude_seen)
    RecommenderTeacher(fused, name=name, exclude_seen=exclude_seen).label(data, place / "rankings", k=k)
    return Knowledge.open(place)


def _hash(config: Config, *others: Config | Knowledge | None) -> str:
    """What a fitted teacher depends on besides the data."""
    shaping = [part.digest()[:8] for part in others if part is not None]
    return "".join([config.digest()[:8], *shaping]) if shaping else config.digest()


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """``name``, or ``name 2`` and so on if it is taken."""
    number = sum(other.partition(" ")[0] == name for other in taken)
    return f"{name} {number + 1}" if number else name
