"""Parameters are frozen, checked, and complain about unknown keys by naming the nearest."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import Field

from recdistill.config import Config
from recdistill.errors import ConfigError


class Inner(Config):
    name: ClassVar[str] = "inner"
    rate: float = Field(0.5, ge=0, le=1)


class Outer(Config):
    name: ClassVar[str] = "outer"
    dim: int = 8
    parts: list[Inner] = Field(default=[], description="nested")


def complaint(**values: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        Outer(**values)
    return caught.value


def test_unknown_key_names_the_nearest() -> None:
    assert str(complaint(dims=3)) == "dims: unknown parameter 'dims' of outer; did you mean 'dim'?"


def test_nested_problems_have_the_whole_key() -> None:
    error = complaint(parts=[{"rate": 0.1}, {"rte": 0.1}])
    assert error.key == ("parts", "1", "rte")
    assert "did you mean 'rate'?" in str(error)
    assert complaint(parts=[{"rate": 2}]).key == ("parts", "0", "rate")


def test_wrong_type_shows_what_was_given() -> None:
    assert "(got 'many')" in str(complaint(dim="many"))


def test_frozen_and_replaced() -> None:
    outer = Outer(dim=3)
    with pytest.raises(ValueError):
        outer.dim = 4  # type: ignore[misc]
    assert outer.replace(dim=4) == Outer(dim=4)
    with pytest.raises(ConfigError):
        outer.replace(dims=4)


def test_digest_follows_parameters_and_name() -> None:
    class Other(Outer):
        name: ClassVar[str] = "other"

    assert Outer(dim=3).digest() == Outer(dim=3).digest()
    assert len({Outer(dim=3).digest(), Outer(dim=4).digest(), Other(dim=3).digest()}) == 3
