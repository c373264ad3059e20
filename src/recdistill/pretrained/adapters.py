"""Low-rank adapters on a frozen network, and less memory for its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..errors import ConfigError
from ..registry import need

__all__ = ["add_adapters", "merge_adapters", "save_memory"]


def add_adapters(network: Any, rank: int, alpha: float, dropout: float = 0.0, targets: Sequence[str] = ()) -> None:
    """Freeze a network and put float32 adapters into it that learn; torch's generator draws them.

    Next to a matrix ``W`` comes ``alpha / rank · B A``, of which ``B`` begins as zero (LoRA, Hu et al. 2021,
    https://arxiv.org/abs/2106.09685).

    Args:
        network: Of transformers; changed in place.
        rank: Rows of ``A``; 0 for no adapters.
        alpha: See above.
        dropout: Of what adapters read.
        targets: Names of matrices; none for all but the head.

    Raises:
        ConfigError: There are no such matrices.
        MissingExtraError: peft is not installed.
    """
    network.requires_grad_(False)
    if not rank:
        return
    peft = need("peft", "text")
    settings = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(targets) or "all-linear"
    )
    try:
        peft.inject_adapter_in_model(settings, network)
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"no adapters fit into this model ({reason})", key=("targets",)) from None
    for name, value in network.named_parameters():
        value.requires_grad_("lora_" in name)
        if "lora_" in name:
            value.data = value.data.float()


def merge_adapters(network: nn.Module) -> None:
    """Add what adapters say to the matrices beside them, and take them out."""
    layer = need("peft.tuners.lora", "text").LoraLayer
    for name, module in list(network.named_modules()):
        if isinstance(module, layer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, module.get_base_layer())


def save_memory(network: Any) -> None:
    """Let the blocks be computed again for the gradient instead of keeping what they computed."""
    name = "activation_checkpointing_enable"  # an older transformers knows only the other name
    enable = getattr(network, name, None) or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})
