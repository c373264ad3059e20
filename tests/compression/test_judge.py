"""The gate: what passes, what is undone, and what is called a close call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.compression import Gate, write_bundle
from recdistill.compression.judge import Judge, Measured, latency
from recdistill.data.dataset import Split
from recdistill.evaluation import evaluate
from recdistill.models import SASRec
from recdistill.serving import Bundle
from tests.compression.shared import shaken


def measured(ndcg: np.ndarray, tail: np.ndarray | None = None, ranked: np.ndarray | None = None) -> Measured:
    n = len(ndcg)
    ranked = np.tile(np.arange(10, dtype=np.int32), (n, 1)) if ranked is None else ranked
    return Measured(ndcg, np.full(n, 0.5) if tail is None else tail, ranked, 1, 1, 1.0, 1.0)


@pytest.fixture
def judge(split: Split) -> Judge:
    return Judge(split, Gate(max_drop=0.01, max_tail_drop=0.05, min_overlap=0.5))


def noise(judge: Judge, size: float) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(0).normal(size=len(judge.contexts)) * size
    centred: np.ndarray = found - found.mean()
    return centred


def test_the_same_passes_and_what_is_clearly_worse_does_not(judge: Judge) -> None:
    whole = measured(np.full(len(judge.contexts), 0.5))
    same = judge.judge(whole, whole)
    assert same.kept
    assert same.reason == "NDCG@10 +0.00 % (+0.00 to +0.00)"
    assert (same.overlap, same.ndcg.difference) == (1.0, 0.0)
    worse = judge.judge(measured(np.full(len(judge.contexts), 0.49)), whole)
    assert not worse.kept
    assert worse.reason == "NDCG@10 −2.00 % (−2.00 to −2.00), 1.00% may be lost"
    assert judge.judge(measured(np.full(len(judge.contexts), 0.4951)), whole).kept


def test_the_mean_decides_and_a_close_call_is_called_so(judge: Judge) -> None:
    whole = measured(np.full(len(judge.contexts), 0.5))
    close = judge.judge(measured(0.498 + noise(judge, 0.1)), whole)
    assert close.kept
    assert "a close call" in close.reason
    missed = judge.judge(measured(0.49 + noise(judge, 0.1)), whole)
    assert not missed.kept
    assert "though chance may explain it" in missed.reason


def test_other_lists_of_the_same_quality_are_undone(judge: Judge) -> None:
    whole = measured(np.full(len(judge.contexts), 0.5))
    others = np.tile(np.arange(10, 20, dtype=np.int32), (len(judge.contexts), 1))
    verdict = judge.judge(measured(whole.ndcg, ranked=others), whole)
    assert not verdict.kept
    assert verdict.reason == "0% of the first 10 items came, 50% must"


def test_a_loss_in_the_tail_counts_if_chance_does_not_explain_it(judge: Judge) -> None:
    whole = measured(np.full(len(judge.contexts), 0.5))
    clear = judge.judge(measured(whole.ndcg, np.full(len(judge.contexts), 0.4)), whole)
    assert not clear.kept
    assert "recall@10 of the tail −20.00 %" in clear.reason
    assert judge.judge(measured(whole.ndcg, 0.48 + noise(judge, 0.5)), whole).kept
    nothing = np.full(
        len(judge.contexts), np.nan
    )  # no target in the tail: nothing is known, nothing is held against it
    assert judge.judge(measured(whole.ndcg, nothing), measured(whole.ndcg, nothing)).kept


def test_a_number_that_is_none_never_passes(judge: Judge) -> None:
    whole = measured(np.full(len(judge.contexts), 0.5))
    assert not judge.judge(measured(np.full(len(judge.contexts), np.nan)), whole).kept


def test_a_bundle_is_measured_as_evaluation_measures_it(split: Split, tmp_path: Path) -> None:
    model = shaken(SASRec(dim=8, max_length=8).build(split))
    bundle = Bundle.open(write_bundle(model, split.dataset, tmp_path / "b", vectors="float32"))
    judge = Judge(split, Gate())
    found = judge.measure(bundle)
    expected = evaluate(model, split, "valid", (10,))
    assert np.nanmean(found.ndcg) == pytest.approx(expected.mean("ndcg@10"), abs=1e-9)
    assert np.nanmean(found.tail) == pytest.approx(expected.mean("recall@10/tail"), abs=1e-9)
    assert found.bytes == sum(file.stat().st_size for file in bundle.path.iterdir())
    apart = sum((bundle.path / name).stat().st_size for name in ("vectors.npy", "encoder.onnx"))
    assert found.model_bytes == apart
    assert 0 < found.p50_ms <= found.p99_ms < 1000
    assert latency(bundle, split.valid.take([0]))[0] > 0


def test_of_many_contexts_some_are_asked_evenly(split: Split) -> None:
    assert len(Judge(split, Gate(contexts=7)).contexts) <= 7
    assert len(Judge(split, Gate()).contexts) == len(split.valid)
