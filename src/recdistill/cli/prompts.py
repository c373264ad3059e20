"""``recdistill prompts``: what a language model is asked, word for word."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["prompts"]


def prompts(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Without it all are listed.")] = None,
    language: Annotated[str, typer.Option("--language", "-l", metavar="LANGUAGE", help="en or zh.")] = "en",
) -> None:
    """Show what language models are asked.

    A prompt of your own is a file of the same form, named with prompt: in a task.
    """
    from ..errors import ConfigError, nearest
    from ..teachers.llm.prompts import LANGUAGES, load_prompt

    chosen = next((known for known in LANGUAGES if known == language), None)
    if chosen is None:
        hint = nearest(language, LANGUAGES)
        raise ConfigError(f"there are no prompts in {language!r}", where="--language", hint=hint)
    if name is None:
        _list()
        return
    prompt = load_prompt(name, chosen)
    head, parts = [f"version: {prompt.version}", f"about: {prompt.about}"], [("user", prompt.user)]
    if prompt.without:  # a text that is continued, not a question that is answered
        head.append(f'joined: "{prompt.joined}"')
        parts.append(("without", prompt.without))
    else:
        parts = [("system", prompt.system), *parts, ("again", prompt.again)]
    typer.echo("\n".join(head))
    for part, text in parts:
        typer.echo(f"--- {part}\n{text}")


def _list() -> None:
    from rich.table import Table

    from ..teachers.llm.prompts import LANGUAGES, load_prompt, prompt_names
    from .output import console

    grid = Table("name", "language", "version", "asks for", box=None)
    for name in prompt_names():
        for language in LANGUAGES:
            prompt = load_prompt(name, language)
            grid.add_row(name, language, str(prompt.version), prompt.about)
    console().print(grid)
