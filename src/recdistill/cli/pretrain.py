"""``recdistill pretrain``: let a language model or encoder read the catalogue before it teaches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Json, Overrides, RecipeFile

__all__ = ["pretrain"]


def pretrain(
    recipe: RecipeFile,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the model goes; teachers name it as model.")],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="smollm2, minilm, a folder, or a name at the hub.")
    ] = "smollm2",
    parameters: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="KEY=VALUE", help="Of the training, as in epochs=2 or rank=8."),
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Let a language model or an encoder go on learning with the texts of a recipe's items.

    A decoder learns to predict the next token, an encoder to restore masked ones. It goes on where an interrupted call
    stopped. The folder is then named in a teacher: parameters: {model: FOLDER}.
    """
    import json

    from ..recipes import load_recipe
    from ..recipes.sources import read_data
    from ..training import Pretraining
    from ..training import pretrain as train
    from .options import settings
    from .output import facts

    loaded = load_recipe(recipe, tuple(overrides or ()))
    config = Pretraining(**{"model": model, **settings(parameters, "--parameter")})
    found = train(config, read_data(loaded.data, loaded.base).items, folder)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    before, after = found["loss_before"], found["loss_after"]
    facts(
        [
            ("learned", f"{found['task']} language modelling, {found['tokens']:,} tokens of {found['texts']:,} texts"),
            ("took", f"{found['seconds']:.0f} s"),
            ("held out", None if before is None else f"loss {before:.3f} before, {after:.3f} after, nats a token"),
            ("use it", f"parameters: {{model: {folder}}}"),
        ]
    )
