"""Checkpoints: everything that training needs to go on exactly as it would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..files import atomic_directory, read_json, write_json

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(
    path: Path,
    modules: dict[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    best: dict[str, Tensor],
    progress: dict[str, Any],
) -> None:
    """Replace the checkpoint in the directory ``path`` atomically.

    Args:
        path: The directory.
        modules: Name to module, for example the model and the objectives.
        optimiser: Its moments are kept.
        best: Weights of the best epoch so far.
        progress: JSON-like: epoch, history and whatever else the loop needs.
    """
    from safetensors.torch import save_file

    tensors = {f"best/{name}": value for name, value in best.items()}
    for prefix, module in modules.items():
        tensors |= {f"{prefix}/{name}": value for name, value in module.state_dict().items()}
    for index, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    with atomic_directory(path) as part:
        save_file(
            {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
            part / "state.safetensors",
        )
        write_json(part / "progress.json", progress)


def load_checkpoint(
    path: Path, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer, run: str
) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Put modules and optimiser into the state of a checkpoint.

    Args:
        path: The directory; it may be absent.
        modules: As saved.
        optimiser: As saved.
        run: What ``progress["run"]`` must be: the hash of everything that shapes the training.

    Returns:
        The best weights and the progress, or None if there is no checkpoint.

    Raises:
        TrainingError: The checkpoint is broken or belongs to another training.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        return None
    progress = read_json(path / "progress.json", TrainingError)
    if progress.get("run") != run:
        raise TrainingError(
            "the checkpoint belongs to another training", where=path, hint="use another directory or remove it"
        )
    try:
        tensors = load_file(path / "state.safetensors")
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint cannot be read ({error})", where=path, hint="remove it to start again"
        ) from None
    for prefix, module in modules.items():
        module.load_state_dict(_below(tensors, prefix), strict=True)
    _restore_moments(optimiser, _below(tensors, "optimiser"))
    return _below(tensors, "best"), progress


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}/"): value for name, value in tensors.items() if name.startswith(f"{prefix}/")}


def _restore_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state = optimiser.state_dict()
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, moment = name.partition("/")
        moments.setdefault(int(index), {})[moment] = value
    optimiser.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
