"""The frame that all steps fit into."""

from __future__ import annotations

from pydantic import Field

from ...config import Config
from ..candidate import Candidate, Workshop

__all__ = ["RecoveringStep", "Step"]


class Step(Config):
    """One step: a candidate in, a smaller one out."""

    def check(self, candidate: Candidate) -> None:
        """See whether the step has anything to do with such a model, before any work is done.

        Args:
            candidate: As it enters the chain; steps before this one may change its sizes, not its kind.

        Raises:
            ConfigError: It does not; what does is named.
        """

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        """Do the work; what is given is not changed."""
        raise TypeError(f"{type(self).__name__} is not a step")  # every subclass overrides this


class RecoveringStep(Step):
    """A step after which the network is trained a little, from the teachers' stored knowledge."""

    epochs: int = Field(3, ge=0, description="of recovery training from the teachers' knowledge; 0 for none")
    lr: float = Field(5e-4, gt=0, description="learning rate at its start; it falls to 0")

    def cut(self, candidate: Candidate, shop: Workshop) -> Candidate:
        """Make it smaller; the training comes after."""
        raise TypeError(f"{type(self).__name__} is not a step")  # every subclass overrides this

    def apply(self, candidate: Candidate, shop: Workshop) -> Candidate:
        return shop.recover(self.cut(candidate, shop), self.epochs, self.lr)
