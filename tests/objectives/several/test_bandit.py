"""The bandit: what it counts, whom it draws, what is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recdistill.errors import KnowledgeError
from recdistill.knowledge import Knowledge, RankingsWriter, rankings_of
from recdistill.objectives.base import Targets
from recdistill.objectives.several import Bandit
from recdistill.training.batches import Loader
from tests.training.made_up import STUDENT

from .two_worlds import ITEMS, teach, two_worlds

NAMES = ("even", "odd")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    split, _ = two_worlds()
    return teach(split, tmp_path_factory.mktemp("worlds"), {"even": [0], "odd": [1]})


def ready(taught: Knowledge, judge: str = "labels", memory: float = 1e9) -> Bandit:
    split, _ = two_worlds()
    bandit = Bandit(2, 2, memory, judge)  # type: ignore[arg-type]
    bandit.prepare(STUDENT.build(split), split, [taught.rankings(name)[0] for name in NAMES], seed=0)
    return bandit


def targets(taught: Knowledge) -> Targets:
    """All positions of the data."""
    split, _ = two_worlds()
    stores = {name: taught.rankings(name)[0] for name in NAMES}
    loader = Loader(
        split.train, ITEMS, length=20, sequential=True, positions=10_000, stores=stores, temperatures={},
        device=torch.device("cpu"),
    )  # fmt: skip
    (step,) = loader.epoch(0, 1)
    return Targets(step.batch.labels, step.batch.weights, step.rankings, step.batch.positions)


def test_it_counts_gains_and_follows_them(taught: Knowledge) -> None:
    split, world = two_worlds()
    bandit, met = ready(taught), targets(taught)
    torch.manual_seed(0)
    bandit.look_ahead(met, NAMES)
    assert met.positions is not None
    before = torch.stack([met.rankings[name].derived[bandit][0] for name in NAMES], dim=1)
    assert (before.sum(1) == 1).all()
    assert 0.3 < float(before[:, 0].mean()) < 0.7  # it knows nothing yet
    cluster, labels = bandit.members[met.positions].long(), met.labels[:, 0]
    for one in range(2):
        for column, name in enumerate(NAMES):
            total, known = [0.0, 0.0], met.rankings[name]
            for row in torch.nonzero((cluster == one) & (labels >= 0))[:, 0].tolist():
                order = known.items[row].tolist()
                gain = 1 / np.log2(order.index(int(labels[row])) + 2) if int(labels[row]) in order else 0.0
                total = [total[0] + gain, total[1] + 1 - gain]
            assert float(bandit.wins[one, column]) == pytest.approx(total[0], rel=1e-4)
            assert float(bandit.losses[one, column]) == pytest.approx(total[1], rel=1e-4)
    bandit.look_ahead(met, NAMES)  # the same step again, for another term: nothing is counted twice
    assert float((bandit.wins + bandit.losses)[:, 0].sum()) == pytest.approx(int((labels >= 0).sum()), rel=1e-4)
    again = targets(taught)
    bandit.look_ahead(again, NAMES)
    assert again.positions is not None
    of_world = world[split.train.row_of_position(again.positions.numpy())]
    drawn = again.rankings["odd"].derived[bandit][0].numpy()
    assert drawn[of_world == 1].mean() > 0.99
    assert drawn[of_world == 0].mean() < 0.01


def test_it_forgets(taught: Knowledge) -> None:
    bandit = ready(taught, memory=50.0)
    bandit.look_ahead(targets(taught), NAMES)
    torch.testing.assert_close(bandit.wins + bandit.losses, torch.full((2, 2), 50.0))


def test_judged_by_validation_it_knows_before_the_first_step(taught: Knowledge) -> None:
    split, _ = two_worlds()
    bandit = ready(taught, "validation")
    ends = split.position_of(split.valid)
    wanted = np.zeros((2, 2))
    for row, position in enumerate(ends.tolist()):
        if (split.valid.repeated()[split.valid.targets.row_of_event() == row]).any():
            continue
        for column, name in enumerate(NAMES):
            order = taught.rankings(name)[0].read([position]).items[0].tolist()
            target = int(split.valid.targets[row][0])
            gain = 1 / np.log2(order.index(target) + 2) if target in order else 0.0
            wanted[int(bandit.members[position]), column] += gain
    np.testing.assert_allclose(bandit.wins.numpy(), wanted, rtol=1e-4)
    before = bandit.wins.clone()
    bandit.look_ahead(targets(taught), NAMES)
    assert torch.equal(before, bandit.wins)


def test_teachers_that_ranked_no_end_cannot_be_judged_by_validation(taught: Knowledge, tmp_path: Path) -> None:
    split, _ = two_worlds()
    writer = RankingsWriter(
        tmp_path, teacher="even", teacher_fingerprint="-", split_fingerprint=split.fingerprint, meaning="-",
        rows=split.train.n_positions, k=3, n_items=ITEMS,
    )  # fmt: skip
    writer.add(np.array([1]), rankings_of(np.zeros((1, ITEMS), np.float32), 3))
    store = writer.seal()
    with pytest.raises(KnowledgeError, match=r"none of even, even ranked where validation asks; .* judge: labels"):
        Bandit(2, 2, 10, "validation").prepare(STUDENT.build(split), split, [store, store], seed=0)
