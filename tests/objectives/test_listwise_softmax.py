"""Listwise softmax: soft labels without a tail, and with sampled items in its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.objectives import ListwiseSoftmax, SoftLabels

from .lists.made_up import N, confidence, listed, ready, scene, unlisted_logp, with_picks


def test_it_is_soft_labels_without_a_tail() -> None:
    at = scene()
    got, wanted = (
        ready(config(temperature=2.0, k=3, **more).build()).loss(at.scores, at.targets)
        for config, more in ((ListwiseSoftmax, {}), (SoftLabels, {"tail": False}))
    )
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-6)


def test_sampled_items_have_the_mean_probability_of_the_unlisted() -> None:
    at = scene()
    got, found, z = with_picks(ListwiseSoftmax(temperature=2.0, unlisted=5), at)
    for row in range(2, N):
        teacher = dict(listed(at.targets, row))
        items = found.items[row][found.real[row]].tolist()
        p = np.exp(np.array([teacher.get(item, unlisted_logp(at.targets, row)) for item in items]) / 2.0)
        p, q = p / p.sum(), np.exp(z[row, items] / 2.0) / np.exp(z[row, items] / 2.0).sum()
        wanted = 4.0 * confidence(at.targets, row) * float((p * np.log(p / q)).sum())
        assert float(got[row]) == pytest.approx(wanted, rel=1e-5)
