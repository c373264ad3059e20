"""The base of every component's parameters: frozen, typed, strict about unknown keys.

A component's config *is* its public parameter list. Python calls and YAML recipes build the same type, so both get
the same defaults, the same checks and the same messages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from .errors import ConfigError, RunError, nearest

__all__ = ["Config", "read_model"]

Model = TypeVar("Model", bound=BaseModel)


def read_model(model: type[Model], path: str | Path, *, absent: str, broken: str) -> Model:
    """Read a file that a run left, in JSON.

    Args:
        model: Its form.
        path: The file.
        absent: What to do if it cannot be read.
        broken: What to do if it is of another form.

    Raises:
        RunError: There is no such file, or it is of another form; the first wrong field is named.
    """
    try:
        return model.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise RunError(f"cannot be read ({error.strerror})", where=path, hint=absent) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunError(f"{place or 'the file'}: {first['msg']}", where=path, hint=broken) from None


class Config(BaseModel):
    """Frozen parameters of one component.

    Raises:
        ConfigError: From the constructor, for an unknown key (the nearest known one is named), a missing key or a
            value of the wrong type or range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, ser_json_inf_nan="strings")

    name: ClassVar[str] = ""
    """The word that stands for this component in a recipe."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _config_error(error) from None

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_key(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    raise ConfigError(
                        f"unknown parameter {key!r} of {cls.name or cls.__name__}",
                        key=(str(key),),
                        hint=nearest(str(key), cls.model_fields),
                    )
        return values

    def replace(self, **changes: Any) -> Self:
        """A copy with some parameters changed, checked again."""
        return type(self)(**{**{k: getattr(self, k) for k in type(self).model_fields}, **changes})

    def digest(self) -> str:
        """Hash over component name and all parameters, stable across processes: 16 hex digits."""
        text = json.dumps([self.name, self.model_dump(mode="json")], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _config_error(error: ValidationError) -> ConfigError:
    """The first problem as one line; problems of nested components keep their own words and get the full key."""
    first = error.errors(include_url=False)[0]
    key = tuple(str(part) for part in first["loc"])
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, ConfigError):
        return ConfigError(inner.what, key=key + inner.key, hint=inner.hint)
    given = "" if first["type"] == "missing" else f" (got {first['input']!r:.80})"
    return ConfigError(f"{first['msg'].removeprefix('Value error, ')}{given}", key=key)
