"""Work on several machines: a cluster of Ray (https://docs.ray.io), in use for the time of a block.

::

    with on_cluster(Cluster(address="10.0.0.1:6379")):
        recdistill.teach(teacher, data)

What is handed out, to whom, and what happens when a machine dies, is left to Ray Data: blocks of work go through a pool
of actors.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, field_validator

from ..config import Config
from ..errors import RecdistillError, TeacherError
from ..registry import need

__all__ = ["Cluster", "Share", "cluster_in_use", "on_cluster"]

log = logging.getLogger("recdistill")

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Ray reports to nobody and draws no bars of its own."""
_WAITING = 0.01
"""Of a core, for who only waits for servers: as good as nothing, but not on machines that are not to work at all."""
_REACHED_SECONDS = 15.0
"""So long a cluster may take to take a call."""
_FRUITLESS = 3
"""Rounds without any result after which a job is given up."""
_STORE_BYTES = 512 << 20
"""Shared memory of a cluster of this machine alone: what is handed out is small."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker holds of its machine.

    Attributes:
        cpus: Cores.
        gpus: GPUs.
    """

    cpus: float
    gpus: float = 0.0


class Cluster(Config):
    """A cluster of Ray, or a local one with the cores of this machine.

    Every machine needs the same version of recdistill with the extra ``ray`` and those of the teachers, and the keys in
    its environment. The journal and the stores lie with the process that runs the recipe, which must be on one of the
    machines.
    """

    name: ClassVar[str] = "ray"

    address: str | None = Field(
        None, description="HOST:PORT of a cluster that runs; None: RAY_ADDRESS, or else this machine alone"
    )
    workers: int | None = Field(
        None, ge=1, description="processes that ask or encode; None: one for each address, GPU, or machine"
    )

    @field_validator("address")
    @classmethod
    def _is_of_the_cluster(cls, address: str | None) -> str | None:
        if address is not None and "://" in address:
            raise ValueError("connect on a machine of the cluster, by HOST:PORT: journal and stores are written there")
        return address

    def start(self) -> Any:
        """Ray itself, connected.

        Raises:
            MissingExtraError: It is not installed.
            TeacherError: There is no such cluster.
        """
        ray = _ray()
        if ray.is_initialized():
            return ray
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        _see_whether_there(address)
        cores: dict[str, Any] = {}
        if address == "local":
            cores = {"num_cpus": len(os.sched_getaffinity(0)), "object_store_memory": _STORE_BYTES}
            cores["include_dashboard"] = False
        try:
            with _silence(), _nothing_on_stderr():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **cores)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            hint = "start one with ray start, correct --ray-address, or leave it out"
            raise TeacherError(f"cannot join this cluster ({reason})", where=address, hint=hint) from None
        alive = [node for node in ray.nodes() if node["Alive"]]
        log.info("on ray: %d machines, %g cores", len(alive), sum(n["Resources"].get("CPU", 0) for n in alive))
        return ray

    def shares(self, addresses: int | None = None) -> tuple[int, Share]:
        """How many workers, and what each holds.

        Args:
            addresses: Of servers that compute for them; None if each has a model of its own.
        """
        if addresses is not None:
            return self.workers or addresses, Share(cpus=_WAITING)
        machines = [node["Resources"] for node in self.start().nodes() if node["Alive"]]
        gpus = int(sum(machine.get("GPU", 0) for machine in machines))
        if gpus:
            return self.workers or gpus, Share(cpus=1, gpus=1)
        cores = [int(machine["CPU"]) for machine in machines if machine.get("CPU", 0) >= 1]
        if not cores:
            raise TeacherError("no machine of the cluster has a core to spare", hint="add machines with cores")
        each = min(cores) if self.workers is None else max(sum(cores) // self.workers, 1)
        each = min(each, max(cores))
        return self.workers or sum(n // each for n in cores), Share(cpus=each)

    def stream(self, pieces: Iterable[dict[str, Any]], worker: type, arguments: dict[str, Any], workers: int,
               share: Share) -> Iterator[dict[str, Any]]:  # fmt: skip
        """What a pool of workers makes of some pieces of work, in any order; what a dead machine had is done again.

        Args:
            pieces: Columns of each piece, equal names in all; a piece goes to one worker as a whole.
            worker: Class that is made from ``arguments`` and called with a piece.
            arguments: For every worker.
            workers: How many at most.
            share: What each holds.
        """
        ray = self.start()
        arrow, data = need("pyarrow", "ray"), need("ray.data", "ray")
        with _silence():
            context = data.DataContext.get_current()
            context.enable_progress_bars, context.max_errored_blocks = False, -1
            tables = [arrow.table(piece) for piece in pieces]
            # one may stay: at the end the others make room for those whose machine died
            pool = data.ActorPoolStrategy(
                min_size=1, max_size=workers, initial_size=workers, max_tasks_in_flight_per_actor=2
            )
            done = data.from_blocks(tables).map_batches(
                worker, fn_constructor_kwargs=arguments, batch_size=None, batch_format="numpy", compute=pool,
                num_cpus=share.cpus, num_gpus=share.gpus or None,
            )  # fmt: skip
        try:
            yield from done.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0)
        except ray.exceptions.RayError as error:
            log.warning("a machine of the cluster was lost (%s)", type(error).__name__)

    def rounds(self) -> Callable[[int, int], None]:
        """Told how much was left before and after each round of a job, gives it up when several bring nothing.

        Raises:
            TeacherError: From what is returned.
        """
        fruitless = 0

        def see(before: int, after: int) -> None:
            nonlocal fruitless
            fruitless = fruitless + 1 if after == before else 0
            if fruitless == _FRUITLESS:
                hint = "see the logs of Ray, then run the same command again"
                raise TeacherError("the workers of the cluster die before they bring anything", hint=hint)

        return see

    def on_one(self, work: Any, share: Share, *arguments: Any) -> Any:
        """The result of a function that is called on one machine of the cluster.

        Raises:
            RecdistillError: What it raised there.
        """
        ray = self.start()
        try:
            remote = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus or None)(work)
            return ray.get(remote.remote(*arguments))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, RecdistillError):
                raise error.cause from None
            raise


_IN_USE: ContextVar[Cluster | None] = ContextVar("cluster", default=None)


def cluster_in_use() -> Cluster | None:
    """The cluster of the block around, or None: this process does the work itself."""
    return _IN_USE.get()


@contextmanager
def on_cluster(cluster: Cluster) -> Iterator[None]:
    """Ask language models and encode texts on a cluster for the time of a block.

    The cluster is joined when there is something to do, and left at the end; a local one ends with it.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    ray = _ray()
    joined_before = ray.is_initialized()
    token = _IN_USE.set(cluster)
    try:
        yield
    finally:
        _IN_USE.reset(token)
        if not joined_before and ray.is_initialized():
            ray.shutdown()


def _ray() -> Any:
    os.environ.update({name: value for name, value in _QUIET.items() if name not in os.environ})
    with _silence():
        ray = need("ray", "ray")
        need("ray.data", "ray")
        return ray


def _see_whether_there(address: str) -> None:
    """Ray itself tries for minutes.

    Raises:
        TeacherError: Nobody listens at that address, or it is of another form.
    """
    host, colon, port = address.rpartition(":")
    if not colon:
        return  # local, or auto
    hint = "start one with ray start, correct --ray-address or RAY_ADDRESS, or leave it out"
    if "/" in host or not port.isdecimal():
        raise TeacherError("is no HOST:PORT of a cluster", where=address, hint=hint)
    try:
        socket.create_connection((host, int(port)), _REACHED_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise TeacherError(f"no cluster answers there ({error})", where=address, hint=hint) from None


@contextmanager
def _nothing_on_stderr() -> Iterator[None]:
    """What is written past Python, too; what goes wrong is an exception."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _silence() -> Iterator[None]:
    """Ray tells its own developers about its deprecations, and users about its execution plans."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
