"""The chain behind a claim is chosen on validation, and only that one is asked for the test part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import bench_compress
from bench_compress import ANYTHING, Claim, Subject, claims, of_claim, words
from quality.splits import load
from recdistill.compression import Deflate, Int4, Int8
from recdistill.knowledge import Knowledge
from recdistill.models import FISM, ModelConfig, SASRec
from recdistill.objectives import CrossEntropy
from recdistill.recipes.schema import CompressionSpec
from recdistill.training import Training, fit

SMALL = (Int8(), Deflate())
SMALLER = (Int4(epochs=0), Deflate())


@pytest.fixture
def subject(bench: Path) -> Subject:
    """Three students of a miniature."""
    split, training = load("amazon-beauty"), Training(epochs=1)
    config = FISM(dim=16, max_length=5)
    models = [fit(config, split, training=training.replace(seed=seed)).model for seed in range(3)]
    return Subject("miniature", models, split, Knowledge(()), [CrossEntropy()], training, bench / "out")


@pytest.mark.parametrize("config", [FISM(dim=8, max_length=5), SASRec(dim=8, blocks=1, max_length=5)])
def test_every_chain_of_a_claim_can_be_typed(bench: Path, config: ModelConfig) -> None:
    model = fit(config, load("amazon-beauty"), training=Training(epochs=1)).model
    for claim in claims(model).values():
        assert len({words(steps) for steps in claim.chains}) == len(claim.chains)
        for steps in claim.chains:
            assert CompressionSpec(steps=yaml.safe_load(f"[{words(steps)}]")).steps == list(steps)


def test_the_best_on_validation_is_asked_for_the_test_part_and_no_other(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    measure = bench_compress.on_test

    def watched(subject: Subject, places: Any) -> dict[str, Any]:
        asked.append(places)
        return measure(subject, places)

    monkeypatch.setattr(bench_compress, "on_test", watched)
    made = {words(steps): subject.chains(steps, ANYTHING) for steps in (SMALL, SMALLER)}
    quality = {name: sum(chain.outcome.rows[-1].ndcg or 0 for chain in chains) for name, chains in made.items()}
    best = max(quality, key=lambda name: quality[name])
    row, kept = of_claim(subject, Claim(drop=0.9, size=1, chains=(SMALL, SMALLER)))
    assert kept
    assert row["chain"] == best
    assert asked == [bench_compress.ends(made[best])]
    assert len(row["each student"]) == 3
    assert row["interval"][0] <= row["ndcg@10"] <= row["interval"][1]


def test_a_chain_that_is_too_large_is_not_asked_however_good(subject: Subject) -> None:
    whole, *_, end = subject.chain(0, SMALLER, ANYTHING).outcome.rows
    size = (end.model_bytes or 0) / (whole.model_bytes or 1)
    row, _ = of_claim(subject, Claim(drop=0.9, size=size * 1.01, chains=(SMALL, SMALLER)))
    assert row["chain"] == words(SMALLER)
    assert set(row["candidates on validation"]) == {words(SMALL), words(SMALLER)}


def test_nothing_small_enough_is_a_claim_that_is_not_kept(subject: Subject) -> None:
    row, kept = of_claim(subject, Claim(drop=0.9, size=0.01, chains=(SMALL, SMALLER)))
    assert not kept
    assert "ndcg@10" not in row
    assert bench_compress.said(row) == "no chain is small enough"
