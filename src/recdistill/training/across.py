"""From one catalogue to another: a model that knows items by their texts is trained on one and ranks the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from ..data.dataset import Split
from ..errors import ConfigError, KnowledgeError
from ..knowledge import EmbeddingsStore, Knowledge
from ..models.neural import NeuralModel
from ..models.sequence import SequenceConfig
from ..models.text import shared_space
from .config import Training
from .loop import Fitted, fit

__all__ = ["fit_across"]

_TEXTS = "fusion.vectors"
"""The only weights that belong to a catalogue."""


def fit_across(
    config: SequenceConfig,
    source: Split,
    target: Split,
    *,
    source_texts: Knowledge,
    target_texts: Knowledge,
    training: Training | None = None,
    adapt: bool = False,
    directory: str | Path | None = None,
    label: str = "train",
) -> Fitted:
    """Train a model on a source domain and carry it over to a target domain with other users and other items.

    What joins them is text: item vectors are a learned map of text embeddings, and all other weights read histories
    (zero-shot recommenders, Ding et al. 2021, https://arxiv.org/abs/2105.08318).

    Args:
        config: The model, with ``fusion="text-only"``.
        source: What it is trained on and validated by.
        target: What it is to rank.
        source_texts: Item embeddings of the source catalogue.
        target_texts: Those of the target catalogue, by the same encoder.
        training: Parameters of the loop.
        adapt: Whether training goes on with the target's events, where its validation finds that this helps.
        directory: For the log and for resuming.
        label: Name in the progress lines.

    Returns:
        A model of the target catalogue, and the history of the training on the source, or of the adaptation.

    Raises:
        ConfigError: The model knows items by more than their texts.
        KnowledgeError: There are no embeddings, or not by one encoder.
    """
    if not isinstance(config, SequenceConfig) or config.fusion != "text-only" or config.text is None:
        what = f"{config.name} with free item vectors knows nothing about other items"
        raise ConfigError(what, key=("fusion",), hint="use sasrec, hstu or gru4rec with fusion: text-only")
    training, place = training or Training(), None if directory is None else Path(directory)
    here, there = (
        _texts(known, split, config.text) for known, split in ((source_texts, source), (target_texts, target))
    )
    if here.manifest.teacher_fingerprint != there.manifest.teacher_fingerprint:
        what = f"{config.text!r} embedded source and target with different parameters or weights"
        raise KnowledgeError(what, where=here.path, hint="embed both with one encoder")
    of_source, of_target = shared_space(here.all(), there.all())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = config.network(source.n_items, source.n_users, of_source)
        carried = config.network(target.n_items, target.n_users, of_target)
        _refuse_free_weights(model, config.network(1, 1, of_target[:1]))
    fitted = fit(
        config, source, training=training, start=model, directory=place and place / "source", label=f"{label}, source"
    )
    _carry(model, carried)
    if not adapt:
        return replace(fitted, model=carried.eval())
    adapted = fit(
        config, target, training=training, start=carried, directory=place and place / "target", label=f"{label}, target"
    )
    return replace(adapted, seconds=fitted.seconds + adapted.seconds)


def _texts(knowledge: Knowledge, split: Split, encoder: str) -> EmbeddingsStore:
    """The embeddings of one encoder, of this catalogue."""
    found = knowledge.embeddings(encoder)
    store = next((s for s in found if s.manifest.dataset_fingerprint == split.dataset.items.fingerprint), None)
    if store is None:
        what = f"the embeddings by {encoder!r} are of another catalogue"
        raise KnowledgeError(what, where=found[0].path, hint="embed the texts of source and target, each by itself")
    return store


def _refuse_free_weights(model: NeuralModel, single: NeuralModel) -> None:
    """Compare with a network of a single item: what differs in shape belongs to a catalogue."""
    other = single.state_dict()
    own = {name: value for name, value in model.state_dict().items() if value.numel() and name != _TEXTS}
    free = [name for name, value in own.items() if value.shape != other[name].shape]
    if free:
        what = f"{model.config.name} has weights of single items ({', '.join(free)}), which other items have not"
        raise ConfigError(what, key=("model",), hint="use sasrec, hstu or gru4rec")


def _carry(model: NeuralModel, carried: NeuralModel) -> None:
    """All weights but those that belong to the catalogue."""
    own = carried.state_dict()
    weights = {name: value.cpu() for name, value in model.state_dict().items() if name != _TEXTS and value.numel()}
    carried.load_state_dict(own | weights)
