"""A message says what, where and what to do next, in one line."""

from __future__ import annotations

import pickle

import pytest

from recdistill import errors
from recdistill.errors import ConfigError, DataError, MissingExtraError, RecdistillError, ServerError, nearest


def test_the_parts_of_a_message() -> None:
    assert str(DataError("no column 'usr'")) == "no column 'usr'"
    assert str(DataError("no column 'usr'", where="a.csv")) == "a.csv: no column 'usr'"
    whole = DataError("no column 'usr'", where="a.csv:1", hint="did you mean 'user'?")
    assert str(whole) == "a.csv:1: no column 'usr'; did you mean 'user'?"


def test_a_config_error_is_placed_by_its_key() -> None:
    error = ConfigError("too small", key=("student", "dim"))
    assert str(error) == "student.dim: too small"
    assert isinstance(error, ValueError)


def test_a_missing_extra_names_the_command() -> None:
    error = MissingExtraError("torch", "train")
    assert isinstance(error, ImportError)
    assert "pip install 'recdistill[train]'" in str(error)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("usr", "did you mean 'user'?"),
        ("USER", "did you mean 'user'?"),
        ("zzz", "known: Time, user"),
        ("tme", "did you mean 'Time'?"),
    ],
)
def test_nearest(name: str, hint: str) -> None:
    assert nearest(name, ["user", "Time"]) == hint


def test_nearest_of_nothing() -> None:
    assert nearest("x", []) is None


def test_every_error_is_in_the_map_and_has_one_base() -> None:
    for name in errors.__all__:
        thing = getattr(errors, name)
        if isinstance(thing, type):
            assert issubclass(thing, RecdistillError)
            assert name in (errors.__doc__ or "")


@pytest.mark.parametrize(
    "error", [DataError("bad", where="a.csv", hint="mend it"), ConfigError("bad", key=("a", "b")),
              MissingExtraError("torch", "train"), ServerError("gone", status=503)],
)  # fmt: skip
def test_errors_come_from_other_processes_as_they_were(error: RecdistillError) -> None:
    found = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)
