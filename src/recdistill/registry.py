"""Frozen tables of components, and the entry points through which others add theirs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from .config import Config
from .errors import ConfigError, MissingExtraError, nearest

__all__ = ["Component", "Components", "component_field", "need"]


@dataclass(frozen=True, slots=True)
class Component:
    """One line of a table: the word used in recipes, where the class is, the extra it needs, what it is for."""

    name: str
    path: str
    extra: str | None
    summary: str

    @property
    def attribute(self) -> str:
        """Name of the class, as used from Python."""
        return self.path.rpartition(":")[2]

    def load(self) -> Any:
        """Import and return the class.

        Raises:
            MissingExtraError: A package of the component's extra is not installed.
        """
        module, _, attribute = self.path.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if self.extra is None or missing == "recdistill":
                raise
            raise MissingExtraError(missing, self.extra) from None


class Components(Mapping[str, Component]):
    """The components of one kind: built in, and installed by others under the entry point group ``recdistill.KIND``.

    Args:
        kind: For messages and as the entry point group, for example ``"models"``.
        built_in: The frozen table.
    """

    def __init__(self, kind: str, *built_in: Component) -> None:
        self.kind = kind
        self._built_in = {component.name: component for component in built_in}
        self._all: dict[str, Component] | None = None

    def _table(self) -> dict[str, Component]:
        if self._all is None:
            found = entry_points(group=f"recdistill.{self.kind}")
            plugins = {e.name: Component(e.name, e.value, None, "plugin") for e in found}
            self._all = plugins | self._built_in
        return self._all

    def __getitem__(self, name: str) -> Component:
        table = self._table()
        if name not in table:
            raise ConfigError(f"no {self.kind} component is called {name!r}", hint=nearest(name, table))
        return table[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table()

    def __iter__(self) -> Iterator[str]:
        return iter(self._table())

    def __len__(self) -> int:
        return len(self._table())

    def attribute(self, attribute: str) -> Any:
        """Load a built-in by class name: what a package's ``__getattr__`` calls."""
        for component in self._built_in.values():
            if component.attribute == attribute:
                return component.load()
        close = difflib.get_close_matches(attribute, self.classes(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"recdistill.{self.kind} has no attribute {attribute!r}{hint}")

    def classes(self) -> list[str]:
        """Names of the built-in classes, for ``__all__``."""
        return [component.attribute for component in self._built_in.values()]


def component_field(table: Components) -> Any:
    """A field of a config that is written as ``{type: NAME, parameter: value, …}`` or just ``NAME``."""

    def parse(value: Any) -> Any:
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, Mapping):
            return value
        parameters = dict(value)
        kind = parameters.pop("type", None)
        if not isinstance(kind, str):
            raise ConfigError(f"type is missing: which of {', '.join(table)}?")
        if kind not in table:
            raise ConfigError(f"no {table.kind} component is called {kind!r}", key=("type",), hint=nearest(kind, table))
        return table[kind].load()(**parameters)

    def dump(value: Config) -> dict[str, Any]:
        return {"type": value.name, **value.model_dump(mode="json")}

    return Annotated[Config, BeforeValidator(parse), PlainSerializer(dump)]


def need(package: str, extra: str) -> Any:
    """Import an optional package, or say which extra brings it.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package.partition(".")[0]:
            raise
        raise MissingExtraError(package, extra) from None
