"""``recdistill deploy``: which bundles a running server answers from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ..serving.deployment import Home

__all__ = ["deploy"]


def deploy(
    place: Annotated[
        Path, typer.Argument(metavar="RUN_OR_BUNDLE", help="What is served: a run directory or a bundle.")
    ],
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="The bundle to serve.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the variant, for answers, metrics and reports.")] = None,
    share: Annotated[
        float | None, typer.Option(help="Serve it to this part of the users only, 0 to 1, beside what is served now.")
    ] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only compare it with what is served now.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Serve what was served before.")] = False,
) -> None:
    """Show or change what is served; a running server follows within a second, without losing a request.

    A new bundle takes the place of all variants; with --share or --shadow it joins them. It is opened and checked
    first. --back undoes the last change; again, the one before it.
    """
    from ..errors import ConfigError
    from ..serving.deployment import Home

    if back and bundle is not None:
        raise ConfigError("--back takes no bundle", hint="what was served before is known")
    if bundle is None and (name or shadow or share is not None):
        raise ConfigError("--name, --share and --shadow are about a bundle", hint="name the bundle behind the run")
    if shadow and share is not None:
        raise ConfigError("--share and --shadow contradict each other", hint="a shadow answers nobody")
    home = Home.of(place)
    if back:
        home.roll_back()
    elif bundle is not None:
        _publish(home, bundle, name, share, shadow)
    _show(home)


def _publish(home: Home, bundle: Path, name: str | None, share: float | None, shadow: bool) -> None:
    from ..serving.deployment import Variant

    joins = shadow or share is not None
    variant = Variant(name or ("challenger" if joins else "main"), bundle, share or 0.0, shadow)
    kept = [known for known in home.current().variants if known.name != variant.name] if joins else []
    home.publish([*kept, variant], f"recdistill deploy {bundle}")


def _show(home: Home) -> None:
    from .output import facts, shown

    now = home.current()
    typer.echo(f"deployment {now.number}{f': {now.reason}' if now.reason else ''}")
    left = 1 - sum(variant.share for variant in now.variants[1:])
    for at, variant in enumerate(now.variants):
        part = "shadow" if variant.shadow else f"{left if at == 0 else variant.share:.0%} of the users"
        facts([(variant.name, f"{shown(variant.bundle)}, {part}")])
