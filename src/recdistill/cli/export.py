"""``recdistill export``: a bundle for other servers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


class Format(StrEnum):
    """What is written."""

    ONNX = "onnx"
    TRITON = "triton"
    ARCHIVE = "archive"


def export(
    place: Annotated[Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="A run directory or a bundle.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="File (onnx, archive), or REPOSITORY/NAME (triton).")],
    form: Annotated[
        Format, typer.Option("--to", help="One ONNX graph, a Triton model repository, or the bundle in one file.")
    ] = Format.ONNX,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Items of a list.")] = 10,
    indices: Annotated[bool, typer.Option("--indices", help="Indices in place of ids (onnx only).")] = False,
    keep_history: Annotated[bool, typer.Option("--keep-history", help="Items of the history may come again.")] = False,
) -> None:
    """Write a bundle as one ONNX graph, histories in and the best items out, for servers that know no bundles."""
    from ..compression import export_onnx, export_triton
    from ..errors import ConfigError
    from ..serving import Bundle, write_archive
    from ..serving.deployment import Home

    bundle = Bundle.open(Home.of(place).served)
    if form is Format.ARCHIVE:
        typer.echo(f"{write_archive(bundle.path, target)}: {bundle.n_items:,} items")
        return
    if form is Format.ONNX:
        written = export_onnx(bundle, target, n=n, ids=not indices, exclude_history=not keep_history)
    elif indices:
        raise ConfigError("a Triton repository speaks of ids", where="--indices", hint="leave it out")
    else:
        written = export_triton(bundle, target.parent, target.name, n=n, exclude_history=not keep_history)
    typer.echo(f"{written}: {bundle.n_items:,} items, lists of {n}")
