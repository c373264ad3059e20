"""A batch that is large for a small log: so few steps that nothing is learned, which looks like a bad model."""

from __future__ import annotations

import logging

from .config import Training

__all__ = ["FEW", "fitting_batch", "tell_few_steps"]

log = logging.getLogger("recdistill")

FEW = 100
"""Steps below which little is learned: in one of them AdamW moves no weight by much more than the learning rate, and
the first ones are warm-up. On 10,000 events of MovieLens a SASRec that stopped after 39 was as good as popularity, and
factors that stopped after 72 were worse."""


def fitting_batch(contexts: int, training: Training) -> int:
    """A power of two that leaves twice :data:`FEW` steps before training can stop, at most the batch there is.

    Args:
        contexts: In an epoch.
        training: Parameters of the loop.
    """
    wanted = max(contexts * _epochs(training) // (2 * FEW), 1)
    return min(1 << (wanted.bit_length() - 1), training.batch)


def tell_few_steps(label: str, contexts: int, training: Training) -> None:
    """Warn, once and at the start, if training can stop before it has learned anything.

    Args:
        label: Name of the training.
        contexts: In an epoch.
        training: Parameters of the loop.
    """
    steps, epochs = -(-contexts // training.batch), _epochs(training)
    if steps * epochs >= FEW:
        return
    batch = fitting_batch(contexts, training)
    hint = "more epochs" if batch == training.batch else f"batch: {batch}"
    log.warning(
        "%s: %d contexts in batches of %d are %d step%s an epoch, so it may stop after %d, too few to learn much; "
        "set %s in training",
        label, contexts, training.batch, steps, "" if steps == 1 else "s", steps * epochs, hint,
    )  # fmt: skip


def _epochs(training: Training) -> int:
    """Epochs that are trained for certain: without a better evaluation, training stops after these."""
    return min(training.epochs, training.patience * training.evaluate_every)
