"""Parameters of the training loop."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ..config import Config
from ..errors import ConfigError

__all__ = ["Training"]


class Training(Config):
    """How a model is trained; the same for teachers and students.

    An *epoch* meets every training event once as label. Epoch ``e`` of seed ``s`` always draws the same random numbers,
    so an interrupted run goes on exactly as it would have.
    """

    name: ClassVar[str] = "training"

    epochs: int = Field(100, ge=1, description="epochs at most")
    patience: int = Field(8, ge=1, description="evaluations without a better one until training stops")
    evaluate_every: int = Field(1, ge=1, description="epochs between two evaluations on validation")
    metric: str = Field(
        "ndcg@10", pattern=r"^(ndcg|recall|hr|mrr|map|precision)@\d+$", description="what decides, on validation"
    )
    exclude_history: bool = Field(True, description="no item of the history is recommended where models are measured")
    batch: int = Field(4096, ge=1, description="contexts in a step, about: labelled places of histories, or users")
    lr: float = Field(2e-3, gt=0, description="learning rate of AdamW after warm-up")
    lr_decay: Literal["constant", "cosine"] = Field(
        "constant", description="cosine: from lr after warm-up towards 0 at the end of `epochs`"
    )
    warmup: int = Field(50, ge=0, description="steps in which the learning rate rises from 0; two epochs at most")
    weight_decay: float = Field(0.01, ge=0)
    balance: Literal["fixed", "uncertainty", "gradient-norm"] = Field(
        "fixed", description="factors of the terms' weights: none, 1 / (2 · loss), or for gradients of equal norm"
    )
    asymmetry: float = Field(1.0, ge=0, description="of gradient-norm: how much terms that learn slowly are favoured")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    negatives: int | None = Field(None, ge=1, description="items sampled for the softmax; None: the whole catalogue")
    negatives_power: float = Field(0.75, ge=0, description="they are drawn by popularity to this power")
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of the forward pass of the network")
    max_minutes: float | None = Field(None, gt=0, description="stop after the epoch in which this time is over")
    checkpoint_seconds: float = Field(20.0, ge=0, description="a checkpoint after an epoch, if so long since the last")
    tensorboard: bool = Field(False, description="write TensorBoard events beside the log")

    @model_validator(mode="after")
    def _asymmetry_of_gradients(self) -> Training:
        if self.asymmetry != 1.0 and self.balance != "gradient-norm":
            what = f"means nothing to balance: {self.balance}"
            raise ConfigError(what, key=("asymmetry",), hint="use balance: gradient-norm, or remove it")
        return self
