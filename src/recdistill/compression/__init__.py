"""Compression: a chain of steps behind a rank gate, fewer bits for each number, and the bundle that is served."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..registry import Component, Components

STEPS = Components(
    "steps",
    Component(
        "float16", "recdistill.compression.steps.float16:Float16", "onnx", "half precision: half the size, no loss"
    ),
    Component("int8", "recdistill.compression.steps.int8:Int8", "onnx", "8 bits, a scale for each row: a quarter"),
    Component("int4", "recdistill.compression.steps.int4:Int4", "onnx", "4 bits for vectors, trained with rounding"),
    Component("pq", "recdistill.compression.steps.pq:PQ", "onnx", "product quantisation: a byte for four dimensions"),
    Component(
        "encoder",
        "recdistill.compression.steps.encoder:Encoder",
        "onnx",
        "the encoder by itself, also int8 products",
    ),
    Component(
        "low-rank",
        "recdistill.compression.steps.low_rank:LowRank",
        "onnx",
        "narrower vectors, thin matrices",
    ),
    Component(
        "prune-dims",
        "recdistill.compression.steps.prune_dims:PruneDims",
        "onnx",
        "a narrower network, rotated first",
    ),
    Component(
        "prune-heads",
        "recdistill.compression.steps.prune_heads:PruneHeads",
        "onnx",
        "the attention heads that do least",
    ),
    Component(
        "prune-feed-forward",
        "recdistill.compression.steps.prune_feed_forward:PruneFeedForward",
        "onnx",
        "the feed-forward units that do least",
    ),
    Component(
        "prune-blocks", "recdistill.compression.steps.prune_blocks:PruneBlocks", "onnx", "the blocks that do least"
    ),
    Component(
        "prune-weights",
        "recdistill.compression.steps.prune_weights:PruneWeights",
        "onnx",
        "small numbers become 0",
    ),
    Component(
        "prune-neighbours",
        "recdistill.compression.steps.prune_neighbours:PruneNeighbours",
        "onnx",
        "the smallest entries of an item-to-item matrix",
    ),
    Component("tune", "recdistill.compression.steps.tune:Tune", "onnx", "quantisation-aware distillation by itself"),
    Component("deflate", "recdistill.compression.steps.deflate:Deflate", "onnx", "files are compressed without a loss"),
)
"""Every step of a chain of compression."""

_PLACES = {
    "Gate": "gate",
    "ServedModel": "served",
    "Storage": "storage",
    "compress": "chain",
    "export_onnx": "export",
    "export_triton": "triton",
    "pack": "quantise",
    "write_bundle": "bundle",
}

__all__ = [*_PLACES, "STEPS", *STEPS.classes()]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    return STEPS.attribute(name)
