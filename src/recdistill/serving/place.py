"""Where the files of a bundle are: a directory, or an archive that is read as it lies.

An archive is a zip file whose members are stored, not compressed, each beginning at a multiple of 64 bytes, so that
both places are memory-mapped and neither is unpacked. Equal directories give equal archives, byte for byte.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ..errors import BundleError
from ..files import atomic_path

__all__ = ["PACKED", "Archive", "Folder", "Place", "write_archive"]

_ALIGNED = 64
_HEADER = 30
"""Bytes of a local header in front of name and extra field."""
_END = 22
"""Bytes of the record that ends a zip file without a comment."""
_PADDING = 0x7264
"""Identifier of our extra field, which only fills up."""
_AGAIN = "copy the bundle again"
PACKED = ".z"
"""Ends the name of a compressed file."""
_MOST = 64


class Place(ABC):
    """Read access to the files of a bundle.

    Attributes:
        path: The directory or the archive.
    """

    path: Path

    @staticmethod
    def open(path: str | Path) -> Place:
        """The place at ``path``: an archive if it is a file, else a directory.

        Raises:
            BundleError: The archive is truncated, or something in it could leave its place.
        """
        path = Path(path)
        return Archive(path) if path.is_file() else Folder(path)

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, int]:
        """Size in bytes of every file, by name."""

    @abstractmethod
    def read(self, name: str) -> memoryview:
        """The bytes of a file, memory-mapped and read-only; they stay readable if the bundle is replaced meanwhile."""

    def whole(self, name: str) -> memoryview:
        """The bytes of a file; one that was compressed, as ``NAME.z``, is unpacked (zlib, RFC 1950).

        Raises:
            BundleError: It cannot be unpacked, or becomes larger than numbers that were rounded or pruned do.
        """
        packed = f"{name}{PACKED}"
        if name in self.sizes or packed not in self.sizes:
            return self.read(name)
        data = self.read(packed)
        unpacker = zlib.decompressobj()
        try:
            found = unpacker.decompress(data, _MOST * len(data))
        except zlib.error as error:
            raise BundleError(f"cannot be unpacked ({error})", where=self.where(packed), hint=_AGAIN) from None
        if not unpacker.eof:
            what = f"unpacks to more than {_MOST} times its size" if unpacker.unconsumed_tail else "is cut off"
            raise BundleError(what, where=self.where(packed), hint=_AGAIN)
        return memoryview(found)

    def where(self, name: str) -> str:
        """A file as a message names it."""
        return str(self.path / name)


class Folder(Place):
    """A bundle as a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def sizes(self) -> Mapping[str, int]:
        return {file.name: file.stat().st_size for file in sorted(self.path.iterdir()) if file.is_file()}

    def read(self, name: str) -> memoryview:
        with (self.path / name).open("rb") as file:
            return _mapped(file.fileno())


class Archive(Place):
    """A bundle as one file.

    Raises:
        BundleError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._whole = _mapped(file.fileno())
            try:
                members = self._members(file)
            except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, struct.error) as error:
                what = f"is neither a bundle nor an archive of one, or was cut off ({error})"
                raise BundleError(what, where=path, hint=_AGAIN) from None
        self._spans = {member.filename: self._span(member) for member in members}
        if len(self._spans) != len(members):
            raise BundleError("holds two files of one name", where=path, hint=_AGAIN)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {name: stop - start for name, (start, stop) in self._spans.items()}

    def read(self, name: str) -> memoryview:
        start, stop = self._spans[name]
        return self._whole[start:stop]

    def _members(self, file: BinaryIO) -> list[zipfile.ZipInfo]:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
        # what is left of an archive may end in, or behind, a member that is a zip file itself
        whole = bytes(self._whole[-_END : -_END + 4]) == b"PK\x05\x06"
        if not whole or min((member.header_offset for member in members), default=0):
            raise zipfile.BadZipFile("its directory is not its own")
        return members

    def _span(self, member: zipfile.ZipInfo) -> tuple[int, int]:
        """Where the bytes of a member are."""
        name = member.filename
        if not is_plain(name):
            raise BundleError(f"names a file outside the bundle, {name!r}", where=self.path, hint="do not trust it")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            hint = "unpack it and open the directory, or write it with recdistill export --to archive"
            raise BundleError(f"{name!r} is compressed or encrypted", where=self.path, hint=hint)
        header = bytes(self._whole[member.header_offset : member.header_offset + _HEADER])
        if len(header) < _HEADER or header[:4] != b"PK\x03\x04":
            raise BundleError(f"{name!r} has no header", where=self.path, hint=_AGAIN)
        start = member.header_offset + _HEADER + sum(struct.unpack("<HH", header[26:]))
        if start + member.file_size > len(self._whole):
            raise BundleError(f"{name!r} is cut off", where=self.path, hint=_AGAIN)
        return start, start + member.file_size


def is_plain(name: str) -> bool:
    """Whether a file of this name lies in the bundle itself, on any system."""
    return bool(name) and not name.startswith(".") and not set(name) & set("/\\:\0")


def write_archive(directory: str | Path, path: str | Path) -> Path:
    """Put a bundle into one file.

    Args:
        directory: The bundle, a directory.
        path: The file to write; one that is there is replaced at the end.

    Returns:
        ``path``.
    """
    directory, path = Path(directory), Path(path)
    with atomic_path(path) as part, zipfile.ZipFile(part, "w") as archive:
        for file in sorted(directory.iterdir()):
            member = zipfile.ZipInfo(file.name)  # of 1 January 1980: the date is no part of a bundle
            member.external_attr = 0o644 << 16
            behind = archive.start_dir + _HEADER + len(file.name.encode()) + 4
            filling = -behind % _ALIGNED
            member.extra = struct.pack("<HH", _PADDING, filling) + bytes(filling)
            member.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target)
    return path


def _mapped(file: int) -> memoryview:
    try:
        return memoryview(mmap.mmap(file, 0, access=mmap.ACCESS_READ))
    except ValueError:  # an empty file cannot be mapped
        return memoryview(b"")
