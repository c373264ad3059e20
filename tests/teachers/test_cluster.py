"""Where a cluster is, how much of it a worker gets, and how questions are shared out; without a cluster."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.errors import ConfigError, TeacherError
from recdistill.teachers.cluster import Cluster, Share, cluster_in_use, on_cluster
from recdistill.teachers.llm.cluster.driver import _pieces


class Machines(Cluster):
    """A cluster of which only the list of machines is looked at."""

    def start(self) -> object:
        return self

    def nodes(self) -> list[dict[str, object]]:
        return [{"Alive": alive, "Resources": resources} for alive, resources in LISTED]


LISTED: list[tuple[bool, dict[str, float]]] = []


@pytest.mark.parametrize(
    ("machines", "workers", "wanted"),
    [
        ([{"CPU": 8.0}, {"CPU": 2.0}, {}], None, (5, Share(2))),
        ([{"CPU": 8.0}, {"CPU": 8.0}], 4, (4, Share(4))),
        ([{"CPU": 2.0}, {"CPU": 2.0}], 1, (1, Share(2))),
        ([{"CPU": 2.0}], 6, (6, Share(1))),
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 16.0}], None, (4, Share(1, 1))),
        ([{"CPU": 16.0, "GPU": 4.0}], 2, (2, Share(1, 1))),
    ],
)
def test_models_get_a_gpu_or_the_cores_of_a_machine(
    machines: list[dict[str, float]], workers: int | None, wanted: tuple[int, Share]
) -> None:
    LISTED[:] = [*((True, machine) for machine in machines), (False, {"CPU": 64.0, "GPU": 8.0})]
    assert Machines(workers=workers).shares() == wanted


def test_who_waits_for_servers_needs_hardly_anything() -> None:
    assert Machines().shares(3)[0] == 3
    assert Machines(workers=7).shares(3)[0] == 7
    assert 0 < Machines().shares(3)[1].cpus <= 0.01
    LISTED[:] = [(True, {"CPU": 0.5})]
    with pytest.raises(TeacherError, match="no machine of the cluster has a core to spare"):
        Machines().shares()


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="connect on a machine of the cluster, by HOST:PORT"):
        Cluster(address="ray://10.0.0.1:10001")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with on_cluster(Cluster(address=address)), pytest.raises(TeacherError, match="no cluster answers there"):
            Cluster(address=address).start()
    monkeypatch.setenv("RAY_ADDRESS", "ray://10.0.0.1:10001")
    with pytest.raises(TeacherError, match=r"ray://10\.0\.0\.1:10001: is no HOST:PORT of a cluster; start one"):
        Cluster().start()


def test_a_cluster_is_in_use_for_a_block() -> None:
    assert cluster_in_use() is None
    with on_cluster(Cluster(workers=2)):
        assert cluster_in_use() == Cluster(workers=2)
    assert cluster_in_use() is None


@given(n=st.integers(1, 5000), workers=st.integers(1, 40), at_once=st.integers(1, 200))
def test_pieces_are_all_questions_and_give_everybody_work(n: int, workers: int, at_once: int) -> None:
    places = np.arange(n) * 3
    pieces = [piece["number"] for piece in _pieces(places, workers, at_once)]
    assert (np.concatenate(pieces) == places).all()
    assert max(map(len, pieces)) <= 8 * at_once
    assert len(pieces) >= min(workers, n) / 2
