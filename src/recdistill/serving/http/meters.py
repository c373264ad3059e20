"""What the server counts, for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client import process_collector as process

from .settings import SHARED

__all__ = ["Meters"]

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_OVERLAPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Meters:
    """The counters of one server.

    With several workers, each writes its own into files under ``PROMETHEUS_MULTIPROC_DIR``; any of them tells the sum.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        shared = self.registry
        self.requests = Counter(
            "recdistill_requests", "Requests that were answered", ["route", "status"], registry=shared
        )
        self.seconds = Histogram(
            "recdistill_request_seconds", "From the head of a request to the end of its answer",
            ["route"], buckets=_SECONDS, registry=shared,
        )  # fmt: skip
        self.running = Gauge(
            "recdistill_requests_running",
            "Requests that are being answered",
            multiprocess_mode="livesum",
            registry=shared,
        )
        self.batch = Histogram(
            "recdistill_batch_requests", "Requests that were scored together", buckets=_SIZES, registry=shared
        )
        self.variant = Histogram(
            "recdistill_variant_seconds",
            "Time a variant took to recommend",
            ["variant"],
            buckets=_SECONDS,
            registry=shared,
        )
        self.overlap = Histogram(
            "recdistill_shadow_overlap", "Share of the served top 10 that a shadow gives too",
            ["variant"], buckets=_OVERLAPS, registry=shared,
        )  # fmt: skip
        self.swaps = Counter("recdistill_swaps", "Changes of the deployment", ["outcome"], registry=shared)
        self.deployment = Gauge(
            "recdistill_deployment",
            "Number of the deployment that is served",
            multiprocess_mode="livemin",
            registry=shared,
        )
        self.events = Counter("recdistill_feedback_events", "Events that were sent", ["outcome"], registry=shared)
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        if SHARED not in os.environ:
            process.ProcessCollector(registry=self.registry)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer; to find a counter by its labels takes longer than to count, so it is done once."""
        known = self._answered.get((route, status))
        if known is None:
            known = self.requests.labels(route, str(status)), self.seconds.labels(route)
            self._answered[route, status] = known
        count, time = known
        count.inc()
        time.observe(seconds)

    def text(self) -> bytes:
        """All of them in the text format of Prometheus."""
        return generate_latest(self._whole())

    def totals(self, meter: Histogram, variant: str) -> tuple[float, float]:
        """Sum and count of what a histogram has seen of a variant."""
        name, found = next(iter(meter.describe())).name, {"_sum": 0.0, "_count": 0.0}
        for family in self._whole().collect():
            for sample in family.samples if family.name == name else ():
                ending = sample.name.removeprefix(name)
                if ending in found and sample.labels.get("variant") == variant:
                    found[ending] += sample.value
        return found["_sum"], found["_count"]

    def _whole(self) -> CollectorRegistry:
        """What is counted here, and by the other workers."""
        if SHARED not in os.environ:
            return self.registry
        whole = CollectorRegistry()
        multiprocess.MultiProcessCollector(whole)  # type: ignore[no-untyped-call]
        return whole
