"""The Open Inference Protocol, version 2: the same recommendations for those who speak tensors.

https://github.com/open-inference/open-inference-protocol. One model. It takes ``history``, item ids as ``BYTES`` of
shape ``[batch, length]`` (an empty text is padding), and answers ``items`` (``BYTES``) and ``scores`` (``FP32``), both
``[batch, n]``, filled up with empty texts and zeros where there are fewer.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from . import schemas

__all__ = ["MODEL", "InferAnswer", "InferQuestion", "Metadata", "answer", "metadata", "questions"]

MODEL = "recommend"
"""Name of the model in the protocol."""
_CELLS = 100_000


class InputTensor(BaseModel):
    """A tensor that is sent."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Literal["history"]
    shape: Annotated[list[Annotated[int, Field(ge=0, le=_CELLS)]], Field(min_length=2, max_length=2)]
    datatype: Literal["BYTES"]
    data: list[Any] = Field(description="texts, flat or as a list of rows")
    parameters: dict[str, Any] = {}


class InferParameters(BaseModel):
    """How to answer."""

    model_config = ConfigDict(extra="allow", strict=True)

    n: schemas.Count = 10
    exclude_history: bool = True


class InferQuestion(BaseModel):
    """A request of the protocol."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {"name": "history", "shape": [2, 2], "datatype": "BYTES", "data": ["1", "50", "50", ""]}
                    ],
                    "parameters": {"n": 3},
                }
            ]
        },
    )

    id: schemas.Id | None = None
    inputs: Annotated[list[InputTensor], Field(min_length=1, max_length=1)]
    parameters: InferParameters = InferParameters()


class OutputTensor(BaseModel):
    """A tensor that comes back, flat, row by row."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class InferAnswer(BaseModel):
    """An answer of the protocol."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class Metadata(BaseModel):
    """What the model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]


def metadata(version: str) -> dict[str, Any]:
    """Of the model."""
    return {
        "name": MODEL,
        "versions": [version],
        "platform": "recdistill",
        "inputs": [{"name": "history", "datatype": "BYTES", "shape": [-1, -1]}],
        "outputs": [
            {"name": "items", "datatype": "BYTES", "shape": [-1, -1]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, -1]},
        ],
    }


def questions(asked: InferQuestion) -> schemas.RecommendMany:
    """The same as questions of ours.

    Raises:
        HTTPException: 400, the data do not have the shape that is named.
        ValidationError: A text is no id.
    """
    tensor = asked.inputs[0]
    rows, width = tensor.shape
    data = _flat(tensor.data)
    if len(data) != math.prod(tensor.shape) or not all(isinstance(text, str) for text in data):
        raise HTTPException(400, f"history: {len(data)} texts are not of shape {tensor.shape}")
    histories = [[text for text in data[row * width : (row + 1) * width] if text] for row in range(rows)]
    wanted = asked.parameters
    parts = [{"history": row, "n": wanted.n, "exclude_history": wanted.exclude_history} for row in histories]
    return schemas.RecommendMany.model_validate({"requests": parts})


def _flat(data: list[Any]) -> list[Any]:
    """The protocol allows a tensor's data to be nested as its shape is."""
    return [text for row in data for text in row] if all(isinstance(row, list) for row in data) else data


def answer(asked: InferQuestion, answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Lists as tensors."""
    n = asked.parameters.n
    items, scores = [], []
    for found in answers:
        filler = n - len(found["items"])
        items += [row["item"] for row in found["items"]] + [""] * filler
        scores += [row["score"] for row in found["items"]] + [0.0] * filler
    shape = [len(answers), n]
    return {
        "model_name": MODEL,
        "model_version": answers[0]["bundle"] if answers else "",
        "id": asked.id,
        "outputs": [
            {"name": "items", "shape": shape, "datatype": "BYTES", "data": items},
            {"name": "scores", "shape": shape, "datatype": "FP32", "data": scores},
        ],
    }
