"""The bundles that answer now, and their replacement while requests are running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import RecdistillError
from ..arrivals import Arrival, Arrivals
from ..bundle import Bundle
from ..deployment import Deployment, Home, Variant

if TYPE_CHECKING:
    from .meters import Meters

__all__ = ["Live", "Serving"]

log = logging.getLogger("recdistill.server")


@dataclass(frozen=True, slots=True)
class Serving:
    """A deployment with its bundles open. A request holds on to one from its beginning to its end.

    Attributes:
        deployment: Which bundles, with which shares.
        bundles: By name of the variant.
    """

    deployment: Deployment
    bundles: Mapping[str, Bundle]

    @property
    def main(self) -> Bundle:
        """That of the first variant."""
        return self.bundles[self.deployment.variants[0].name]

    def answering(self, who: str | None) -> tuple[Variant, Bundle]:
        """The variant that answers somebody, and its bundle."""
        variant = self.deployment.variant_of(who)
        return variant, self.bundles[variant.name]


class Live:
    """Keeps what is served in step with a home.

    A new deployment is opened, checked and warmed up beside the old one, in a thread of its own; then one assignment
    puts it in place. What cannot be opened is refused and the old one stays. The old bundles go when the last request
    that holds them has been answered.

    Args:
        home: What to serve.
        meters: Count the changes.
        new_items: How many items may be added.

    Attributes:
        now: What is served.
        refused: Why the newest deployment is not served, or "".

    Raises:
        RecdistillError: There is nothing that could be served.
    """

    def __init__(self, home: Home, meters: Meters, new_items: int = 0) -> None:
        self._home, self._meters = home, meters
        self._arrivals, self._arrived = Arrivals(home.arrivals, new_items), home.identity(home.arrivals)
        self._stamp = home.stamp()
        self._identities: dict[Path, tuple[object, Bundle]] = {}
        self._beside = ThreadPoolExecutor(1, "look")
        """Its own thread: where all others are busy, a new deployment still comes."""
        self.refused = ""
        self.now = self._opened()
        meters.deployment.set(self.now.deployment.number)

    async def watch(self, every: float) -> None:
        """Look for a new deployment every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(every)
            try:
                await asyncio.get_running_loop().run_in_executor(self._beside, self.look)
            except Exception:  # the next time, then
                log.exception("looking for a new deployment failed")

    def add(self, new: Arrival) -> Bundle:
        """Let the first variant recommend a new item at once, the others and other workers soon.

        Returns:
            The bundle that has it now.

        Raises:
            RecdistillError: It cannot be taken in; see :meth:`Arrivals.add`.
        """
        bundle = self.now.main
        self._arrivals.add(new, bundle)
        return bundle

    def look(self) -> bool:
        """Serve the deployment that is to be served, if it is another one; whether it was."""
        arrived = self._home.identity(self._home.arrivals)
        if arrived != self._arrived:
            for bundle in self.now.bundles.values():
                self._arrivals.take_in(bundle)
            self._arrived = arrived
        stamp = self._home.stamp()
        if stamp == self._stamp:
            return False
        try:
            new = self._opened()
        except RecdistillError as error:
            self._stamp = stamp  # the same files will be refused again
            self._refuse(str(error))
            return False
        except Exception as error:  # too many open files, a runtime of others: may pass, and must not end the watch
            self._refuse(f"{type(error).__name__}: {error}")
            return False
        self._stamp = stamp
        self.now, self.refused = new, ""
        self._meters.swaps.labels("done").inc()
        self._meters.deployment.set(new.deployment.number)
        facts = {"deployment": new.deployment.number, "variants": [v.name for v in new.deployment.variants]}
        log.info("another deployment is served", extra={"fields": facts | {"reason": new.deployment.reason}})
        return True

    def _refuse(self, reason: str) -> None:
        if reason != self.refused:
            self.refused = reason
            self._meters.swaps.labels("refused").inc()
            log.error("the new deployment is refused, the old one stays", extra={"fields": {"reason": reason}})

    def _opened(self) -> Serving:
        deployment = self._home.current()
        found = {}
        for variant in deployment.variants:
            path = variant.bundle.resolve()
            identity = self._home.identity(path)
            known = self._identities.get(path)
            found[path] = known if known is not None and known[0] == identity else (identity, self._ready(path))
        self._identities = found
        return Serving(deployment, {v.name: found[v.bundle.resolve()][1] for v in deployment.variants})

    def _ready(self, path: Path) -> Bundle:
        """A bundle that has been asked once, so that no user waits for what is made at the first question."""
        bundle = Bundle.open(path)
        self._arrivals.take_in(bundle)
        return _warm(bundle)


def _warm(bundle: Bundle) -> Bundle:
    for history in (np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)):
        bundle.recommend_indices(history)
    return bundle
