"""Gradients made by hand against autograd on the full matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recdistill.objectives import (
    BPR,
    CD,
    DCD,
    DIST,
    DKD,
    RCEKD,
    RD,
    RRD,
    BinaryLabels,
    CrossEntropy,
    DLLM2Rec,
    HardLabels,
    ListMLE,
    ListwiseSoftmax,
    MarginMSE,
    Ranking,
    RankNet,
    SeveralTeachers,
    SoftLabels,
    UnKD,
)
from recdistill.objectives.base import ObjectiveConfig, ScoreObjective, Targets
from recdistill.objectives.several import Gate
from recdistill.objectives.unkd import strata
from recdistill.training import head
from recdistill.training.head import catalogue_loss
from recdistill.training.sampled import Negatives, SampledChunk
from recdistill.training.scores import Chunk, FullChunk, Space

from ..objectives.naive import NaiveScores, made_up_targets

N, ITEMS, DIM = 80, 30, 5
CHUNK = 32

MIXES: dict[str, list[ObjectiveConfig]] = {
    "cross-entropy": [CrossEntropy()],
    "T=2 beside T=1": [CrossEntropy(weight=0.3), SoftLabels(temperature=2.0)],
    "T=1 twice": [CrossEntropy(), SoftLabels(temperature=1.0)],
    "T=2 alone": [SoftLabels(temperature=2.0)],
    "T=1 without a tail, T=2 with": [SoftLabels(temperature=1.0, tail=False), SoftLabels(temperature=2.0, k=3)],
    "odd temperatures": [SoftLabels(temperature=3.7), CrossEntropy(), SoftLabels(temperature=0.5)],
    "two teachers": [SoftLabels(temperature=2.0), SoftLabels(temperature=1.0, teacher="other"), CrossEntropy()],
    "hard labels": [HardLabels(k=3)],
    "everything": [HardLabels(), BPR(), SoftLabels(temperature=2.0), SoftLabels(temperature=3.7), CrossEntropy()],
    "bpr": [BPR(negatives=3)],
    "listwise": [ListwiseSoftmax(unlisted=5), ListMLE(), CrossEntropy()],
    "pairwise": [RankNet(unlisted=4), RankNet(temperature=2.0), MarginMSE()],
    "pointwise": [RD(), CD(k=4, pool=10), CD(guide="teacher"), BinaryLabels(unlisted=5), DLLM2Rec(k=3)],
    "relaxed": [RRD(k=4, uninteresting=6)],
    "corrected": [DCD(), SoftLabels(temperature=2.0, trust="better"), DIST(unlisted=5)],
    "stratified": [UnKD(pairs=4)],
    "rejuvenated": [RCEKD(k=3, sampled=4, pool=12), CrossEntropy()],
    "decoupled": [DKD(), DKD(target="list", alpha=2.0, beta=0.5, k=4)],
    "several teachers": [
        SeveralTeachers(teachers=("teacher", "other"), combine=combine, temperature=temperature, trust=trust)
        for combine, temperature, trust in (
            ("mean", 2.0, "all"),
            ("confidence", 1.0, "likelier"),
            ("margin", 3.7, "better"),
            ("label", 2.0, "listed"),
            ("gate", 2.0, "all"),
        )
    ],
    "ranking": [
        Ranking(weights=("position", "discrepancy"), trust="better"),
        Ranking(pick="student", k=5, compare="softmax", weights=("probability", "unpopularity"), unlisted=4),
        Ranking(pick="underestimated", compare="ranknet", weights=("consistency", "error"), trust="listed"),
        Ranking(pick="rank", k=3, compare="odds", unlisted=3, popularity=0.5),
        Ranking(compare="margin-mse", weights=("position",)),
        Ranking(compare="pearson", weights=("position",)),
        Ranking(compare="labels", unlisted=2),
    ],
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "_CHUNK_NUMBERS", 1)  # so that the least number of rows counts: 32, 32, 16


def student(scale: float = 1.0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, item vectors and biases, leaves."""
    random = torch.Generator().manual_seed(5)
    shapes = ((N, DIM), (ITEMS, DIM), (ITEMS,))
    values = [scale * torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes]
    hidden, table, bias = (value.to(dtype).requires_grad_() for value in values)
    return hidden, table, bias


def built(configs: list[ObjectiveConfig]) -> list[tuple[ScoreObjective, float]]:
    terms = []
    for config in configs:
        objective = config.build()
        objective.teachers = config.named_teachers or ("teacher",)
        objective.popularity = torch.arange(ITEMS).float()
        if isinstance(config, SeveralTeachers):
            objective.mix = config.mix(2)
            if isinstance(objective.mix, Gate):
                objective.mix.network = gate_network()
        if isinstance(config, UnKD):
            objective.groups = strata(objective.popularity, config.groups)
        assert isinstance(objective, ScoreObjective)
        terms.append((objective, config.weight.at(0)))
    return terms


def gate_network() -> nn.Sequential:
    """For states of the student's width and five numbers of each of two teachers."""
    torch.manual_seed(4)
    return nn.Sequential(nn.LayerNorm(DIM + 10), nn.Linear(DIM + 10, 8), nn.GELU(), nn.Linear(8, 2)).double()


def naive_loss(
    matrix: Tensor, targets: Targets, terms: list[tuple[ScoreObjective, float]], hidden: Tensor
) -> tuple[Tensor, Tensor]:
    parts = [slice(start, start + CHUNK) for start in range(0, N, CHUNK)]  # BPR draws chunk by chunk
    sums = torch.zeros(len(terms), dtype=torch.float64)
    for part in parts:
        scores = NaiveScores(matrix[part], hidden=hidden[part])
        sums = sums + torch.stack([objective.loss(scores, targets.rows(part)).sum() for objective, _ in terms])
    means = sums / N
    return (means * torch.tensor([weight for _, weight in terms], dtype=torch.float64)).sum(), means


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(("with_bias", "m"), [(True, 1), (False, 1), (True, 4)])
def test_gradients(mix: str, with_bias: bool, m: int) -> None:
    hidden, table, bias = student()
    given = [hidden, table, bias] if with_bias else [hidden, table]
    targets = made_up_targets(N, ITEMS, 6, teachers=("teacher", "other"), m=m)
    terms = built(MIXES[mix])
    torch.manual_seed(0)
    loss, means = catalogue_loss(hidden, table, bias if with_bias else None, targets, terms)
    got = torch.autograd.grad(2 * loss, given)
    torch.manual_seed(0)
    wanted_loss, wanted_means = naive_loss(hidden @ table.T + (bias if with_bias else 0), targets, terms, hidden)
    wanted = torch.autograd.grad(2 * wanted_loss, given)
    torch.testing.assert_close(loss, wanted_loss, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(means, wanted_means, rtol=1e-9, atol=1e-9)
    assert not means.requires_grad
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("mix", ["cross-entropy", "T=2 beside T=1", "odd temperatures", "hard labels"])
def test_gradcheck(mix: str) -> None:
    hidden, table, bias = student()
    targets = made_up_targets(4, ITEMS, 6, teachers=("teacher",))
    terms = built(MIXES[mix])
    hidden = hidden[:4].detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda h, t, b: catalogue_loss(h, t, b, targets, terms)[0], (hidden, table, bias), eps=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(("scale", "part"), [(0.0, 1e-4), (1.0, 1e-4), (30.0, 0.1), (1000.0, None)])
def test_float32_is_near_float64_and_finite(mix: str, scale: float, part: float | None) -> None:
    """Where the student's tail is as small as rounding errors (scale 30), its gradient is still right within 10 %."""
    targets = made_up_targets(N, ITEMS, 6, teachers=("teacher", "other"))
    terms = built(MIXES[mix])
    results = []
    for dtype in (torch.float32, torch.float64):
        hidden, table, bias = (v.to(dtype).detach().requires_grad_() for v in student(scale**0.5, torch.float32))
        torch.manual_seed(0)
        loss, _ = catalogue_loss(hidden, table, bias, targets, terms)
        results.append([loss.detach(), *torch.autograd.grad(loss, (hidden, table, bias))])
    for single, double in zip(*results, strict=True):
        assert single.isfinite().all()
        if part is not None:
            atol = part * float(double.abs().max()) + 1e-9
            torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=atol)


def test_all_mass_on_listed_items() -> None:
    """The student gives the tail nothing, the teacher does: it is still pulled there, and nothing explodes."""
    targets = made_up_targets(N, ITEMS, 6)
    known = targets.rankings["teacher"]
    hidden = torch.eye(N).requires_grad_()  # so that a column of the table is a position's scores
    table = torch.zeros(ITEMS, N)
    for row in range(N):
        table[known.items[row], row] = 40.0
    table.requires_grad_()
    loss, _ = catalogue_loss(hidden, table, None, targets, built([SoftLabels(temperature=1.0)]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert table.grad is not None
    assert table.grad.isfinite().all()
    assert table.grad.abs().max() < 2 / N  # a difference of two probabilities


def test_half_precision_hidden_states() -> None:
    targets = made_up_targets(N, ITEMS, 6)
    terms = built([CrossEntropy(), SoftLabels(temperature=2.0)])
    hidden, table, bias = student(dtype=torch.float32)
    half = hidden.detach().bfloat16().requires_grad_()
    loss, _ = catalogue_loss(half, table, bias, targets, terms)
    exact, _ = catalogue_loss(half.detach().float(), table, bias, targets, terms)
    assert loss.dtype == torch.float32
    assert loss == exact  # only the hidden states were rounded, not the scores
    to_half, to_table = torch.autograd.grad(loss, (half, table))
    assert to_half.dtype == torch.bfloat16
    assert to_table.dtype == torch.float32


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = made_up_targets(N, ITEMS, 6)
    terms = built([CrossEntropy(), SoftLabels(temperature=2.0)])
    results = []
    for numbers in (1, 50 * ITEMS, 1 << 20):
        monkeypatch.setattr(head, "_CHUNK_NUMBERS", numbers)
        hidden, table, bias = student()
        loss, _ = catalogue_loss(hidden, table, bias, targets, terms)
        results.append([loss.detach(), *torch.autograd.grad(loss, (hidden, table, bias))])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_vectors_that_a_sample_has_to_fetch_fit_into_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = made_up_targets(N, ITEMS, 6)
    (listed,) = {known.items.shape[1] for known in targets.rankings.values()}
    bound = (N - 8) * listed * DIM  # fewer than all positions, though their scores of four items would fit many times
    monkeypatch.setattr(head, "_CHUNK_NUMBERS", bound)
    monkeypatch.setattr(head, "_CHUNK_ROWS", 1)
    fetched: list[int] = []
    one_by_one = SampledChunk.of

    def of(chunk: SampledChunk, items: Tensor) -> Tensor:
        fetched.append(items.numel() * DIM)
        return one_by_one(chunk, items)

    monkeypatch.setattr(SampledChunk, "of", of)
    hidden, table, bias = student()
    sample = Negatives(torch.arange(4), torch.zeros(4, dtype=torch.float64))
    catalogue_loss(hidden, table, bias, targets, built([SoftLabels(temperature=1.0)]), sample)
    assert sum(fetched) == N * listed * DIM
    assert max(fetched) <= bound


def test_sparse_terms_cannot_ask_for_the_catalogue() -> None:
    objective = BPR().build()
    hidden, table, bias = student()
    targets = made_up_targets(N, ITEMS, 6)
    objective.loss = lambda scores, _: scores.logsumexp()
    with pytest.raises(TypeError, match="dense"):
        catalogue_loss(hidden, table, bias, targets, [(objective, 1.0)])


@pytest.mark.parametrize("base", [1.0, 2.0])
def test_the_students_own_ranking(base: float) -> None:
    hidden, table, bias = (value.detach() for value in student())
    table[3] = table[4]  # equal scores share the better rank
    bias[3] = bias[4]
    labels = torch.zeros(N, 1, dtype=torch.int64)
    chunk = FullChunk(hidden, table, bias, labels, space=Space(table), base=base)
    naive = NaiveScores(chunk.scores.clone())
    items = torch.randint(ITEMS, (N, 7), generator=torch.Generator().manual_seed(0))
    items[:, :2] = torch.tensor([3, 4])
    out = torch.stack([items[:, 2], (items[:, 2] + 1) % ITEMS, torch.full((N,), -1)], dim=1)
    for without in (None, out):
        assert torch.equal(chunk.ranks(items, without), naive.ranks(items, without))
    apart = torch.arange(ITEMS) != 4
    chunk = FullChunk(hidden, table[apart], bias[apart], labels, space=Space(table[apart]), base=base)
    top = chunk.top(40)
    assert torch.equal(chunk.ranks(top[:, :29]), torch.arange(29).expand(N, -1))
    for without in (None, out.clamp_max(28)):
        assert torch.equal(chunk.top(40, without), NaiveScores(chunk.scores).top(40, without))
    with pytest.raises(TypeError, match="not dense"):
        Chunk(hidden, table, bias, labels).top(3)
    with pytest.raises(TypeError, match="not dense"):
        Chunk(hidden, table, bias, labels).ranks(items)
