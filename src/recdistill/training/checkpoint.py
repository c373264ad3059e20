"""Checkpoints: everything that training needs to go on exactly as it would have, in one file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..files import atomic_path

__all__ = ["load_checkpoint", "save_checkpoint"]

_FILE = "checkpoint.safetensors"
_FORMAT = "2"
"""Changes with the layout of what is saved."""


def save_checkpoint(
    directory: Path, modules: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer],
    best: Mapping[str, Mapping[str, Tensor]], run: str, progress: Mapping[str, Any],
) -> None:  # fmt: skip
    """Replace the checkpoint in a directory atomically.

    Args:
        directory: Where it goes.
        modules: Name to module, for example the model and the objectives.
        optimisers: Name to optimiser, whose moments are kept.
        best: Name to weights of the best epoch so far. No two of all these names are equal.
        run: Hash of everything that shapes the training.
        progress: JSON-like: history and whatever else the loop needs.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for prefix, weights in (*best.items(), *((name, module.state_dict()) for name, module in modules.items())):
        tensors |= {f"{prefix}/{name}": value for name, value in weights.items()}
    for prefix, optimiser in optimisers.items():
        for index, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{prefix}/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    plain = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with atomic_path(directory / _FILE) as part:
        save_file(plain, part, {"format": _FORMAT, "run": run, "progress": json.dumps(progress)})


def load_checkpoint(
    directory: Path, modules: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer],
    best: Sequence[str], run: str,
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]] | None:  # fmt: skip
    """Put modules and optimisers into the state of a checkpoint.

    Args:
        directory: Where it may be; what a killed process left half written there is removed.
        modules: As saved.
        optimisers: As saved.
        best: Names of the best weights.
        run: As saved.

    Returns:
        The best weights by name and the progress, or None if there is no checkpoint.

    Raises:
        TrainingError: The checkpoint is broken, from another version, or belongs to another training.
    """
    for left in directory.glob(f".{_FILE}.*.part"):
        left.unlink()
    path = directory / _FILE
    if not path.exists():
        return None
    described, tensors = _read(path)
    if described["format"] != _FORMAT:
        hint = "finish with that version, or remove it to start again"
        raise TrainingError("the checkpoint is from another version of recdistill", where=path, hint=hint)
    if described["run"] != run:
        hint = "use another directory or remove it"
        raise TrainingError("the checkpoint belongs to another training", where=path, hint=hint)
    for prefix, module in modules.items():
        module.load_state_dict(_below(tensors, prefix))
    for prefix, optimiser in optimisers.items():
        _restore_moments(optimiser, _below(tensors, prefix))
    return {prefix: _below(tensors, prefix) for prefix in best}, json.loads(described["progress"])


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            described = {"format": "1"} | file.metadata()
            return described, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        hint = "remove it to start again"
        raise TrainingError(f"the checkpoint cannot be read ({error})", where=path, hint=hint) from None


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}/"): value for name, value in tensors.items() if name.startswith(f"{prefix}/")}


def _restore_moments(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, moment = name.partition("/")
        moments.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
