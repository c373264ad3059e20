"""Looking into a network while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

__all__ = ["watched"]


@contextmanager
def watched(modules: Iterable[nn.Module]) -> Iterator[dict[nn.Module, Tensor]]:
    """What some modules return while the block runs, by module; nothing of it stays at the modules afterwards.

    The outputs take part in the gradient. If a module runs twice, the last output counts.

    Args:
        modules: Parts of a network that return one tensor each.
    """
    outputs: dict[nn.Module, Tensor] = {}
    hooks = [module.register_forward_hook(partial(_keep, outputs)) for module in set(modules)]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def _keep(outputs: dict[nn.Module, Tensor], module: nn.Module, _: Any, output: Tensor) -> None:
    outputs[module] = output
