"""A model through a head of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recdistill.errors import ConfigError
from recdistill.models import EASE, Headed, SASRec
from recdistill.testing import tiny_split


def test_it_begins_as_the_model() -> None:
    split, inner = tiny_split(), SASRec(dim=8, blocks=1, heads=2)
    headed = Headed(model=inner).build(split, seed=4)
    np.testing.assert_allclose(headed.score(split.test), inner.build(split, seed=4).score(split.test), rtol=1e-5)
    with torch.no_grad():
        headed.head.weight.mul_(-1)
    np.testing.assert_allclose(headed.score(split.test), -inner.build(split, seed=4).score(split.test), rtol=1e-5)


def test_a_model_without_states() -> None:
    with pytest.raises(ConfigError, match="ease has no states to put a head on"):
        Headed(model=EASE())
