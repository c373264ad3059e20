"""Several fitted models as one: calibrated log-probabilities, fused with weights chosen on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from ..data.dataset import Contexts
from ..errors import ConfigError, TeacherError, nearest
from ..files import read_json, write_json
from ..models.base import Floats, ModelConfig, RankingModel
from .fusion import Shortlist, Validation, best_likelihood, best_temperature, search_weights

__all__ = ["Ensemble", "EnsembleConfig", "calibrated"]

_LOWEST = -50.0
"""No member may rule an item out alone."""


class EnsembleConfig(ModelConfig):
    """How members are fused: ``score = Σ_m w_m · log softmax(s_m / t_m) / T``, a product of experts
    (Hinton 2002, https://doi.org/10.1162/089976602760128018).

    ``t_m`` makes the softmax of each member fit the validation targets, ``w`` (on the simplex) ranks them best, and
    ``T`` makes the fused softmax fit them again. Only validation contexts are looked at.
    """

    name: ClassVar[str] = "ensemble"

    metric: Literal["ndcg@10", "likelihood"] = Field("ndcg@10", description="what the weights are chosen by")
    exclude_seen: bool = Field(True, description="items of the history cannot be recommended")
    max_contexts: int = Field(20_000, ge=1, description="validation contexts looked at, evenly spread")


class Ensemble(RankingModel):
    """Fitted models with fusion weights; a ranking model itself.

    Args:
        members: Models by name, for one catalogue.
        weights: Of each member, not negative, in the order of the members; all the same if None.
        temperatures: Of each member's softmax.
        temperature: Of the fused softmax.
        config: How it was fitted.

    Raises:
        TeacherError: There are no members, or they rank different catalogues.
        ConfigError: Weights and members do not fit.
    """

    config: EnsembleConfig

    def __init__(
        self,
        members: Mapping[str, RankingModel],
        weights: Sequence[float] | None = None,
        temperatures: Sequence[float] | None = None,
        temperature: float = 1.0,
        config: EnsembleConfig | None = None,
    ) -> None:
        self.members, self.config = dict(members), config or EnsembleConfig()
        sizes = {name: model.n_items for name, model in members.items()}
        if len(set(sizes.values())) != 1:
            raise TeacherError(f"members must rank one catalogue, these rank {sizes}")
        self.n_items = next(iter(sizes.values()))
        self.n_users = max(model.n_users for model in members.values())
        n = len(sizes)
        self.weights = tuple([1 / n] * n if weights is None else map(float, weights))
        self.temperatures = tuple([1.0] * n if temperatures is None else map(float, temperatures))
        self.temperature = temperature
        if not n == len(self.weights) == len(self.temperatures) or min(*self.weights, *self.temperatures) < 0:
            raise ConfigError(f"{n} members need {n} weights, none negative (got {self.weights})", key=("weights",))

    @classmethod
    def fit(cls, members: Mapping[str, RankingModel], valid: Contexts, **parameters: Any) -> Ensemble:
        """Choose weights and temperatures on validation contexts.

        Args:
            members: Fitted models by name.
            valid: Validation contexts with their targets.
            parameters: Of :class:`EnsembleConfig`.

        Raises:
            TeacherError: There is no validation target.
        """
        config = EnsembleConfig(**parameters)
        start = cls(members, config=config)
        numbers = start.n_items * len(members)
        some = Validation.of(valid, config.max_contexts, numbers, config.exclude_seen)
        raw = start._asked(some.contexts)
        temperatures = [best_temperature(some, _bounded(scores)) for scores in raw]
        logs = [_log_probabilities(scores, t) for scores, t in zip(raw, temperatures, strict=True)]
        if config.metric == "likelihood":
            weights = search_weights(len(logs), lambda w: best_likelihood(some, logs, w))
        else:

            def ask(contexts: Contexts) -> list[Tensor]:
                answers = zip(start._asked(contexts), temperatures, strict=True)
                return [_log_probabilities(scores, t) for scores, t in answers]

            every = Validation.of(valid, config.max_contexts, 0, config.exclude_seen)
            weights = search_weights(len(logs), Shortlist.of(every, ask, numbers).ndcg)
        fused = sum((w * z for w, z in zip(weights, logs, strict=True)), torch.zeros(()))
        return cls(members, weights, temperatures, best_temperature(some, fused), config)

    def _asked(self, contexts: Contexts) -> list[Tensor]:
        """Scores by each member: float32 ``[contexts, n_items]`` each."""
        return [torch.from_numpy(np.array(m.score(contexts), dtype=np.float32)) for m in self.members.values()]

    def score(self, contexts: Contexts) -> Floats:
        return np.asarray(self.fuse(self._asked(contexts)).numpy(), dtype=np.float32)

    def fuse(self, scores: Sequence[Tensor]) -> Tensor:
        """Members' scores, float ``[n, n_items]`` each, to those of the ensemble, whose softmax is calibrated."""
        fused = torch.zeros(scores[0].shape)
        for weight, temperature, own in zip(self.weights, self.temperatures, scores, strict=True):
            if weight > 0:
                fused += weight * _log_probabilities(own.cpu(), temperature)
        return fused / self.temperature

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The members' tensors, prefixed by their names, and the fusion's numbers."""
        own = {"weights": self.weights, "temperatures": self.temperatures, "temperature": (self.temperature,)}
        out: dict[str, npt.NDArray[Any]] = {name: np.array(value) for name, value in own.items()}
        for name, model in self.members.items():
            out |= {f"{name}.{key}": value for key, value in model.tensors().items()}
        return out

    def weights_by_name(self) -> dict[str, float]:
        """Member's name to its weight."""
        return dict(zip(self.members, self.weights, strict=True))

    def with_members(self, members: Mapping[str, RankingModel]) -> Ensemble:
        """The same fusion of other models of the same names, for example fold models.

        Raises:
            TeacherError: A member is missing.
        """
        for name in self.members:
            if name not in members:
                raise TeacherError(f"the ensemble's member {name!r} is missing", hint=nearest(name, members))
        chosen = {name: members[name] for name in self.members}
        return Ensemble(chosen, self.weights, self.temperatures, self.temperature, self.config)

    def save_weights(self, path: str | Path) -> None:
        """Write the fusion, without the members, as JSON."""
        described = {
            "members": list(self.members), "weights": self.weights, "temperatures": self.temperatures,
            "temperature": self.temperature, "config": self.config.model_dump(mode="json"),
        }  # fmt: skip
        write_json(path, described)

    @classmethod
    def load_weights(cls, path: str | Path, members: Mapping[str, RankingModel]) -> Ensemble:
        """Read what :meth:`save_weights` wrote, and join it with the members.

        Raises:
            TeacherError: The file is missing or broken, or a member is missing.
        """
        described = read_json(path, TeacherError)
        try:
            names, config = described["members"], EnsembleConfig(**described["config"])
            numbers = described["weights"], described["temperatures"], described["temperature"]
        except (KeyError, TypeError) as error:
            raise TeacherError(f"not the weights of an ensemble ({error!r})", where=path, hint="fit it again") from None
        for name in names:
            if name not in members:
                raise TeacherError(
                    f"the ensemble's member {name!r} is missing", where=path, hint=nearest(name, members)
                )
        return cls({name: members[name] for name in names}, *numbers, config)


def calibrated(name: str, model: RankingModel, valid: Contexts, *, exclude_seen: bool = True) -> RankingModel:
    """The model, or where its scores are no log-probabilities an ensemble of it alone, which makes them such.

    Args:
        name: Of the model.
        model: Fitted; one of closed form has scores of any meaning.
        valid: Validation contexts with their targets.
        exclude_seen: Items of the history cannot be recommended.
    """
    if model.config.trained or isinstance(model, Ensemble):
        return model
    return Ensemble.fit({name: model}, valid, exclude_seen=exclude_seen)


def _log_probabilities(scores: Tensor, temperature: float) -> Tensor:
    return torch.log_softmax(_bounded(scores) / temperature, dim=1).clamp_min(_LOWEST)


def _bounded(scores: Tensor) -> Tensor:
    """Items that a member cannot score share its lowest finite score."""
    if not torch.isneginf(scores).any():
        return scores
    lowest = scores.masked_fill(torch.isneginf(scores), torch.inf).amin(1, keepdim=True).nan_to_num(posinf=0.0)
    return torch.maximum(scores, lowest)
