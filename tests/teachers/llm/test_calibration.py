from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from recdistill.teachers.llm.tasks.calibration import Line, fit_line


@pytest.mark.parametrize("scale", [0.3, 4.0, 40.0])
def test_the_line_is_that_of_logistic_regression(scale: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=4000) * scale
    right = (rng.random(4000) < 1 / (1 + np.exp(-(0.4 * x - 1.2)))).astype(float)
    line = fit_line(x, right)
    other = LogisticRegression(C=1e6).fit(x[:, None], right)
    expected = [other.coef_[0, 0], other.intercept_[0]]
    np.testing.assert_allclose([line.slope, line.intercept], expected, rtol=2e-3, atol=2e-3)
    assert line.loss[0] < line.loss[1]
    assert line.facts()["calibration"]["examples"] == 4000
    np.testing.assert_allclose(line.of(np.array([0.0, 1.0])), [line.intercept, line.slope + line.intercept])


def test_a_teacher_is_not_turned_round() -> None:
    x = np.linspace(-3, 3, 200)
    line = fit_line(x, (x < -1).astype(float))
    assert line.slope == 0
    assert np.isclose(1 / (1 + np.exp(-line.intercept)), (x < -1).mean())


def test_separable_and_missing_examples_have_finite_lines() -> None:
    x = np.array([-5.0, -4.0, 4.0, 5.0])
    line = fit_line(x, (x > 0).astype(float))
    assert np.isfinite([line.slope, line.intercept]).all()
    assert fit_line(np.zeros(0), np.zeros(0)) == Line()
    assert fit_line(x, np.ones(4)) == Line()
    assert Line().facts() == {}
