"""Tables of components: lazy, closed, open to plugins, clear about what is missing."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from recdistill import registry
from recdistill.errors import ConfigError, MissingExtraError
from recdistill.registry import Component, Components, need

GOOD = Component("good", "recdistill.config:Config", None, "there")
NEEDS = Component("needs", "tests.needs_a_package:Thing", "train", "imports what is not installed")


def test_lookup_by_name_and_by_class() -> None:
    table = Components("things", GOOD)
    assert table["good"].load().__name__ == "Config"
    assert table.attribute("Config") is table["good"].load()
    assert "good" in table
    assert list(table) == ["good"]
    assert len(table) == 1
    assert table.classes() == ["Config"]
    with pytest.raises(AttributeError, match=r"recdistill\.things has no attribute 'Nothing'"):
        table.attribute("Nothing")
    with pytest.raises(AttributeError, match=r"has no attribute 'Confg'; did you mean 'Config'\?"):
        table.attribute("Confg")


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no things component is called 'goood'; did you mean 'good'\?"):
        Components("things", GOOD)["goood"]


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"'no_such_package_at_all'.*recdistill\[train\]"):
        NEEDS.load()
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        Component("needs", NEEDS.path, None, "").load()


def test_plugins_join_and_cannot_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [EntryPoint("mine", "recdistill.files:checksum", "g"), EntryPoint("good", "os:getcwd", "g")]
    monkeypatch.setattr(registry, "entry_points", lambda group: found if group == "recdistill.things" else [])
    table = Components("things", GOOD)
    assert table["mine"].load().__name__ == "checksum"
    assert table["good"] is GOOD


def test_need() -> None:
    assert need("json", "train").dumps([1]) == "[1]"
    with pytest.raises(MissingExtraError, match="ann"):
        need("no_such_package_at_all", "ann")
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        need("tests.needs_a_package", "ann")
