"""Relations among users and items against their formulas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from recdistill.errors import KnowledgeError
from recdistill.objectives import CKA, FTD, HTD, RKD, Similarity
from recdistill.objectives.cka import alignment
from recdistill.objectives.experts import Experts
from recdistill.objectives.ftd import together
from recdistill.objectives.htd import HTDLoss, hierarchy
from recdistill.objectives.rkd import angles, distances
from recdistill.objectives.vectors import Pairs, VectorsConfig
from tests.synthetic import tiny_split

from .inside import made_up, prepared, slopes_are_right

SPLIT = tiny_split()
Floats = npt.NDArray[np.float64]


def both(sides: dict[str, Pairs]) -> tuple[Floats, Floats]:
    pairs = together(sides)
    return pairs.student.numpy(), pairs.teacher.numpy()


def cosine(a: Floats, b: Floats) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize(
    "config", [FTD(), HTD(groups=2), HTD(groups=2, between="group"), RKD(triples=6), Similarity(), CKA()]
)
def test_slopes(config: VectorsConfig) -> None:
    sides = made_up()
    assert slopes_are_right(prepared(config, sides, SPLIT), sides)


@pytest.mark.parametrize("config", [FTD(), RKD(), Similarity(), CKA()])
def test_nothing_is_lost_on_a_student_that_is_the_teacher_turned(config: VectorsConfig) -> None:
    sides = made_up(dim=6)
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    same = {side: Pairs(pairs.teacher @ turn, pairs.teacher) for side, pairs in sides.items()}
    objective = prepared(config, sides, SPLIT)
    assert objective.compared(same).item() == pytest.approx(0, abs=1e-9)
    assert objective.compared(sides).item() > 0.01


def test_ftd() -> None:
    sides = made_up()
    s, t = both(sides)
    wanted = np.mean([(cosine(s[i], s[j]) - cosine(t[i], t[j])) ** 2 for i in range(12) for j in range(12)])
    assert prepared(FTD(), sides, SPLIT).compared(sides).item() == pytest.approx(wanted)


@pytest.mark.parametrize("between", ["entity", "group"])
def test_hierarchy(between: str) -> None:
    sides = made_up()
    s, t = both(sides)
    groups = np.array([0, 0, 1, 1, 1, 4, 0, 7, 7, 9, 9, 9])
    alike = [(i, j) for i in range(12) for j in range(12) if groups[i] == groups[j]]
    within = np.mean([(cosine(s[i], s[j]) - cosine(t[i], t[j])) ** 2 for i, j in alike])
    means = [(s[groups == g].mean(0), t[groups == g].mean(0)) for g in np.unique(groups)]
    others = list(zip(s, t, strict=True)) if between == "entity" else means
    outer = np.mean([(cosine(a, c) - cosine(b, d)) ** 2 for a, b in means for c, d in others])
    got = hierarchy(together(sides), torch.from_numpy(groups), between)  # type: ignore[arg-type]
    assert got.item() == pytest.approx(within + outer)


def test_htd_blends_topology_and_grouping() -> None:
    sides = made_up()
    values = []
    for gamma in (0.0, 1.0, 0.25):
        torch.manual_seed(0)
        values.append(prepared(HTD(groups=3, gamma=gamma), sides, SPLIT).compared(sides).item())
    assert values[2] == pytest.approx(0.75 * values[0] + 0.25 * values[1])
    objective = prepared(HTD(groups=3, gamma=0.0), sides, SPLIT)
    assert isinstance(objective, HTDLoss)
    # users and items never share a group
    groups = []
    for number, (side, pairs) in enumerate(sides.items()):
        experts = objective.experts[side]
        assert isinstance(experts, Experts)
        groups.append(experts.groups(pairs.teacher) + 3 * number)
    assert values[0] == pytest.approx(hierarchy(together(sides), torch.cat(groups), "entity").item())


def test_rkd() -> None:
    sides = made_up()
    s, t = both(sides)

    def apart(v: Floats) -> Floats:
        found: Floats = np.array([[np.linalg.norm(a - b) for b in v] for a in v])
        mean: np.float64 = found[~np.eye(len(v), dtype=bool)].mean()
        return found / mean

    def angle(v: Floats, j: int, i: int, k: int) -> float:
        return 0.0 if j in (i, k) else cosine(v[i] - v[j], v[k] - v[j])

    np.testing.assert_allclose(distances(torch.from_numpy(s)), apart(s), atol=1e-7)
    cosines = np.array([[[angle(s, j, i, k) for k in range(12)] for i in range(12)] for j in range(12)])
    np.testing.assert_allclose(angles(torch.from_numpy(s)), cosines, atol=1e-7)

    def huber(x: Floats) -> float:
        return float(np.where(np.abs(x) < 1, x**2 / 2, np.abs(x) - 0.5).mean())

    wanted = 3 * huber(apart(s) - apart(t))
    theirs = np.array([[[angle(t, j, i, k) for k in range(12)] for i in range(12)] for j in range(12)])
    got = prepared(RKD(distance=3.0, angle=0.5), sides, SPLIT).compared(sides).item()
    assert got == pytest.approx(wanted + 0.5 * huber(cosines - theirs))
    assert prepared(RKD(distance=3.0, angle=0.0), sides, SPLIT).compared(sides).item() == pytest.approx(wanted)


def test_equal_vectors_have_no_distance_and_a_gradient() -> None:
    same = torch.ones(4, 3, requires_grad=True)
    (distances(same).sum() + angles(same).sum()).backward()  # type: ignore[no-untyped-call]
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()


def test_similarity() -> None:
    sides = made_up()
    grams = [v @ v.T for v in both(sides)]
    student, teacher = (gram / np.linalg.norm(gram, axis=1, keepdims=True) for gram in grams)
    wanted = np.square(student - teacher).sum() / 12
    assert prepared(Similarity(), sides, SPLIT).compared(sides).item() == pytest.approx(wanted)


def test_cka() -> None:
    sides = made_up()
    wanted = []
    for pairs in sides.values():
        centre = np.eye(len(pairs.student)) - 1 / len(pairs.student)
        k, m = (centre @ (v.numpy() @ v.numpy().T) @ centre for v in (pairs.student, pairs.teacher))
        wanted.append(np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m)))
        assert alignment(pairs.student, pairs.teacher).item() == pytest.approx(wanted[-1])
    assert prepared(CKA(), sides, SPLIT).compared(sides).item() == pytest.approx(1 - np.mean(wanted))


@pytest.mark.parametrize("apart", [0.0, 1e-7])
def test_vectors_that_are_the_same_have_modest_gradients(apart: float) -> None:
    random = torch.Generator().manual_seed(0)
    vectors = torch.randn(16, 4, generator=random)
    vectors[1] = vectors[0] + apart
    teacher = torch.randn(16, 4, generator=random)
    vectors.requires_grad_()
    ((angles(vectors) - angles(teacher)) ** 2).mean().backward()  # type: ignore[no-untyped-call]
    assert vectors.grad is not None
    assert vectors.grad.norm() < 10


def test_vectors_without_any_difference_have_no_alignment_and_no_slope() -> None:
    same = torch.ones(4, 3, requires_grad=True)
    found = alignment(same, torch.randn(4, 3, generator=torch.Generator().manual_seed(0)))
    found.backward()  # type: ignore[no-untyped-call]
    assert found == 0
    assert same.grad is not None
    assert not same.grad.isnan().any()


def test_users_and_items_of_different_widths_lie_in_no_one_space() -> None:
    sides = {name: Pairs(torch.randn(3, 4), torch.randn(3, width)) for name, width in (("user", 6), ("item", 5))}
    with pytest.raises(
        KnowledgeError, match="left 6 numbers for each user and 5 numbers for each item, which lie in no"
    ):
        together(sides)
