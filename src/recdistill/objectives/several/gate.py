"""A small network that says which teacher to listen to, learned from who ranks the label better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...data.dataset import Split
from ...models.neural import NeuralModel
from ..lists.scene import LEAST_LOGP, NEVER, Scene
from .held_out import HeldOut
from .mixes import Mix, entropy, gains, margin

__all__ = ["Gate", "Judge"]

Judge = Literal["labels", "validation"]
"""What a mix learns from: the labels of the training positions, or what validation users did next."""

_SIGNALS = 5
"""Numbers that describe a teacher's answer."""


class Gate(Mix):
    """``softmax(network(student's state, the teachers' answers))``.

    The network has one hidden layer and starts as the mean. It learns by cross-entropy that the teacher, or teachers,
    with the best rank of the label are right; labels that none of them lists teach nothing. Nothing of it reaches the
    student but the shares. Teachers know their training labels: judged by these, the one that remembers best wins,
    unless they label out of fold. Judged by ``validation``, it learns at the ends of histories from what came next
    there, and at these ends all teachers count alike, so that no student is told who is right about its own validation.

    Args:
        teachers: How many.
        hidden: Width of the hidden layer.
        judge: What it learns from.
    """

    sequential = True

    def __init__(self, teachers: int, hidden: int, judge: Judge) -> None:
        super().__init__()
        self.teachers, self.hidden, self.judge = teachers, hidden, judge
        self.held_out: HeldOut | None = None
        self._lesson: Tensor | None = None

    def prepare(self, model: NeuralModel, split: Split, stores: Sequence[object], seed: int) -> None:
        width = model.dim + _SIGNALS * self.teachers
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            first, last = nn.Linear(width, self.hidden), nn.Linear(self.hidden, self.teachers)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        device = next(model.parameters()).device
        self.network = nn.Sequential(nn.LayerNorm(width), first, nn.GELU(), last).to(device)
        if self.judge == "validation":
            self.held_out = HeldOut.of(split, device)

    def forward(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        judged = scenes if self.held_out is None else self.held_out.scenes(scenes)
        with torch.enable_grad():
            logits = self.network(self._features(scenes, answered)).masked_fill(~answered, NEVER)
            self._lesson = self._cross_entropy(logits, judged, answered)
        shares = torch.softmax(logits.detach(), dim=1)
        if self.held_out is None:
            return shares
        at_ends = (judged[0].targets.labels >= 0).any(1, keepdim=True)
        return torch.where(at_ends, answered.float(), shares)

    def lesson(self) -> Tensor | None:
        return self._lesson

    def _features(self, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        with torch.no_grad():
            state = scenes[0].scores.states.to(next(self.network.parameters()).dtype)
            parts = [functional.layer_norm(state, state.shape[1:])]
            for column, scene in enumerate(scenes):
                known = scene.known
                said = [
                    known.confidence, known.logp[:, 0].clamp_min(LEAST_LOGP), margin(scene), entropy(scene),
                    known.tails[1.0].clamp_min(LEAST_LOGP),
                ]  # fmt: skip
                parts.append((torch.stack(said, dim=1) * answered[:, column, None]).to(state.dtype))
            return torch.cat(parts, dim=1)

    def _cross_entropy(self, logits: Tensor, scenes: Sequence[Scene], answered: Tensor) -> Tensor:
        gain = gains(scenes).nan_to_num(0.0) * answered
        best = gain.amax(1, keepdim=True)
        right = ((gain == best) & (best > 0) & answered).to(logits.dtype)
        target = right / right.sum(1, keepdim=True).clamp_min(1)
        return -(target * torch.log_softmax(logits, dim=1)).sum(1)
