"""How long a teacher is listened to."""

from __future__ import annotations

import pytest

from recdistill.objectives import SoftLabels
from recdistill.objectives.base import Moment
from recdistill.objectives.refusal import listened


def test_by_its_lead_on_validation() -> None:
    for lead, margin, wanted in [(1.0, 0.1, 1.0), (0.05, 0.1, 0.5), (0.0, 0.1, 0.0), (-0.3, 0.1, 0.0), (0.01, 0, 1.0)]:
        moment = Moment(3, lead={"large": lead}.__getitem__)
        assert listened("validation", margin, "large", moment, None) == pytest.approx(wanted)
        assert listened("never", margin, "large", moment, None) == 1.0


def test_by_its_lead_on_the_labels() -> None:
    pages = {"large": {"all": {"teacher_logp": -3.0, "student_logp": -3.2}}}
    assert listened("labels", 0.4, "large", Moment(2), pages) == pytest.approx(0.5)
    assert listened("labels", 0.1, "large", Moment(2), pages) == 1.0
    assert listened("labels", 0.4, "other", Moment(2), pages) == 1.0  # nothing is known yet
    assert listened("labels", 0.4, "large", Moment(1), None) == 1.0


def test_the_last_page_counts_and_the_weight_follows() -> None:
    objective = SoftLabels(weight=0.5, refuse="labels", refuse_margin=1.0).build()
    objective.teachers, objective.term = ("large",), "soft-labels"
    pages = [{"large": {"all": {"teacher_logp": -2.0 - gap, "student_logp": -3.0}}} for gap in (0.0, 0.75)]
    history: list[dict[str, object]] = [{"trust": {"soft-labels": page}} for page in pages]
    assert objective.begin(Moment(1)) == 0.5
    assert objective.begin(Moment(2, history[:1])) == 0.5
    assert objective.begin(Moment(3, history)) == pytest.approx(0.125)
    assert objective.begin(Moment(5, [*history, {}, {"trust": {}}])) == pytest.approx(0.125)  # refused, it says no more
