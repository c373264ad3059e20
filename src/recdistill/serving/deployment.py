"""Which bundles answer, and how one set of them takes the place of another.

A *home* is the directory beside a run or bundle in which a server keeps what outlives it::

    deployment.json     which bundles answer now, and before; replaced in one step: a reader sees the old or the new
    releases/           bundles that updates made
    feedback.sqlite     what users did
    items.jsonl         items that came after the bundle was made

A server watches ``deployment.json``. Nothing is sent to it: whoever may write the file may change what is served.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError
from ..files import read_json, write_json
from .bundle import Bundle

__all__ = ["Deployment", "Home", "Variant"]

_FILE, _LOCK = "deployment.json", ".deployment.lock"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEPT = 20
"""Earlier deployments that can be gone back to."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A bundle that answers.

    Attributes:
        name: In answers, metrics and reports.
        bundle: Where it is.
        share: Of the users, 0…1; the first variant of a deployment gets what the others leave.
        shadow: It is asked too, beside the variant that answers, and only compared with it.
    """

    name: str
    bundle: Path
    share: float = 0.0
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Deployment:
    """What answers now.

    Attributes:
        number: Grows with every change; 0 if nothing was ever published.
        variants: The first is the one that others are compared with.
        reason: Why it was made.

    Raises:
        RunError: Names that are used twice, shares that do not fit.
    """

    number: int
    variants: tuple[Variant, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        for name in names:
            if not _NAME.fullmatch(name):
                raise RunError(f"a variant cannot be called {name!r}", hint="use letters, digits and . _ -")
            if names.count(name) > 1:
                raise RunError(f"two variants are called {name!r}")
        if not self.variants or self.variants[0].shadow:
            raise RunError("nobody answers", hint="the first variant cannot be a shadow")
        shares = [variant.share for variant in self.variants[1:]]
        if not all(0 <= share <= 1 for share in shares) or sum(shares) > 1:
            raise RunError(f"shares {shares} are not parts of one", hint="as in 0.1 for a tenth of the users")

    def variant_of(self, who: str | None) -> Variant:
        """The variant that answers somebody; the same as long as shares only grow. Nobody known: the first."""
        if who is not None and len(self.variants) > 1:
            at = int.from_bytes(hashlib.blake2b(who.encode("utf-8", "replace"), digest_size=8).digest()) / 2**64
            for variant in self.variants[1:]:
                if not variant.shadow:
                    if at < variant.share:
                        return variant
                    at -= variant.share
        return self.variants[0]

    @property
    def shadows(self) -> tuple[Variant, ...]:
        """Those that are only compared."""
        return tuple(variant for variant in self.variants if variant.shadow)


class Home:
    """The directory from which a run or bundle is served.

    Args:
        path: Of the home; made when something is written.
        bundle: What is served as long as nothing was published.
    """

    def __init__(self, path: Path, bundle: Path) -> None:
        self.path, self.bundle = path, bundle

    @classmethod
    def of(cls, place: str | Path) -> Home:
        """The home of a run directory (``RUN/serving``) or of a bundle (``BUNDLE.serving`` beside it).

        Raises:
            RunError: It is a run without a bundle, or neither.
        """
        place = Path(place)
        if (place / "bundle").exists():
            return cls(place / "serving", place / "bundle")
        if (place / "recipe.json").exists():
            raise RunError("this run has no bundle yet", where=place, hint="finish it with: recdistill run RECIPE")
        if not place.exists():
            raise RunError("no such run or bundle", where=place)
        whole = place.absolute()  # "." has no name of its own
        return cls(whole.with_name(f"{whole.name}.serving"), place)

    @property
    def events(self) -> Path:
        """Where SQLite keeps events."""
        return self.path / "feedback.sqlite"

    @property
    def arrivals(self) -> Path:
        """Where items are that came after the bundle was made."""
        return self.path / "items.jsonl"

    @property
    def showcase(self) -> Path | None:
        """Other models of the run, to compare with; None if it left none."""
        place = self.path.parent / "showcase"
        return place if place.exists() else None

    def current(self) -> Deployment:
        """What is to be served now.

        Raises:
            RunError: ``deployment.json`` was written by something else.
        """
        body = self._read()
        if body is None:
            return Deployment(0, (Variant("main", self.bundle),))
        return self._parsed(body["now"])

    @property
    def served(self) -> Path:
        """The bundle that answers now: that of the first variant.

        Raises:
            RunError: ``deployment.json`` was written by something else.
        """
        return self.current().variants[0].bundle

    def bundles(self) -> set[Path]:
        """Every bundle that is served or can be gone back to, resolved."""
        body = self._read()
        known = [self.current(), *map(self._parsed, body["before"] if body else ())]
        return {variant.bundle.resolve() for deployment in known for variant in deployment.variants}

    def stamp(self) -> tuple[Any, ...]:
        """Changes whenever something else is to be served; reads no file."""
        return self.identity(self.path / _FILE), self.identity(self.bundle)

    def publish(self, variants: Sequence[Variant], reason: str = "", after: int | None = None) -> Deployment:
        """Serve these from now on. Every bundle is opened, checked and asked first.

        Args:
            variants: The first is the one that others are compared with.
            reason: Why.
            after: Number of the deployment that these follow; None: whichever there is.

        Raises:
            BundleError: One of them cannot be served; nothing changed.
            RunError: Names or shares do not fit, or another deployment came in between; nothing changed.
        """
        for variant in variants:
            Bundle.open(variant.bundle).recommend_indices(np.zeros(1, dtype=np.int64))
        with self._locked():
            number = self.current().number
            if after is not None and after != number:
                what = f"deployment {number} came while its successor of {after} was made"
                raise RunError(what, where=self.path, hint="nothing changed; look at it and do it again")
            return self._write(Deployment(number + 1, tuple(variants), reason))

    def roll_back(self, reason: str = "rolled back") -> Deployment:
        """Serve what was served before this.

        Raises:
            RunError: There was nothing before, or it is gone.
        """
        with self._locked():
            body = self._read()
            if body is None or not body["before"]:
                raise RunError("there is no earlier deployment", where=self.path)
            earlier = self._parsed(body["before"][0])
            for variant in earlier.variants:
                Bundle.open(variant.bundle)
            number = int(body["now"]["number"]) + 1
            return self._write(replace(earlier, number=number, reason=reason), body["before"][1:])

    def _write(self, deployment: Deployment, before: Sequence[Any] | None = None) -> Deployment:
        if before is None:
            body = self._read()
            before = [self._plain(self.current()), *(body["before"] if body else [])][:_KEPT]
        write_json(self.path / _FILE, {"version": 1, "now": self._plain(deployment), "before": list(before)})
        return deployment

    def _read(self) -> dict[str, Any] | None:
        file = self.path / _FILE
        if not file.exists():
            return None
        body = read_json(file, RunError)
        if not isinstance(body, dict) or body.get("version") != 1 or not {"now", "before"} <= set(body):
            raise RunError("is no deployment of this version", where=file, hint="remove it to serve the run's bundle")
        return body

    def _plain(self, deployment: Deployment) -> dict[str, Any]:
        variants = [
            {
                "name": variant.name,
                "bundle": os.path.relpath(variant.bundle.resolve(), self.path.resolve()),
                "share": variant.share,
                "shadow": variant.shadow,
            }
            for variant in deployment.variants
        ]
        return {"number": deployment.number, "reason": deployment.reason, "variants": variants}

    def _parsed(self, body: Mapping[str, Any]) -> Deployment:
        try:
            variants = tuple(
                Variant(str(part["name"]), self.path / part["bundle"], float(part["share"]), bool(part["shadow"]))
                for part in body["variants"]
            )
            return Deployment(int(body["number"]), variants, str(body["reason"]))
        except (KeyError, TypeError, ValueError) as error:
            what = f"cannot be understood ({type(error).__name__} {error})"
            raise RunError(what, where=self.path / _FILE, hint="remove it to serve the run's bundle") from None

    @staticmethod
    def identity(path: Path) -> tuple[int, ...] | None:
        """Changes when a file, archive or bundle directory is replaced; None if it is not there."""
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
