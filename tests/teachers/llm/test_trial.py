"""What a model says about validation contexts, over a real connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill.errors import TeacherError
from recdistill.teachers.llm.backends import Endpoint
from recdistill.teachers.llm.candidates import RandomCandidates, RecommenderCandidates
from recdistill.teachers.llm.tasks import Attributes, Listwise, Pairwise, Pointwise
from recdistill.teachers.llm.trial import hold_trial
from recdistill.testing import tiny_split

from ...llm_server import Answer, Asked, answers, chat, letters
from .jobs import offered, shown_history

SPLIT = tiny_split()
RANDOM = RandomCandidates(n=6)


def liking(newest: int, item: int) -> float:
    """Log-odds of a model that knows the chain: the item after the newest is likeliest."""
    return -0.1 - 0.3 * min(abs(item - newest - 1), 12)


def knowing(asked: Asked) -> Answer:
    """Answers a question of any of the three kinds, in either wording."""
    text = asked.said
    newest = shown_history(text)[-1]
    candidates = offered(text)
    if candidates:
        return letters({letter: liking(newest, item) for letter, item in candidates.items()})
    item = int(next(line for line in text.splitlines() if line.startswith("Item ")).removeprefix("Item "))
    return letters({"Yes": liking(newest, item), "No": -1.0})


def hold(server: Any, path: Path, task: Any = None, **changes: Any) -> Any:
    llm = rd.teachers.LLM(task=task or Listwise(candidates=RANDOM), backend=Endpoint(url=server.url))
    return hold_trial(llm, SPLIT, path / "k", **({"contexts": 20} | changes))


def of_right(trial: Any) -> Any:
    """Items that are right, by the columns that the trial gives."""
    return trial.candidates[np.arange(len(trial.right)), trial.right]


def test_lists_in_several_orders_and_wordings(tmp_path: Path) -> None:
    with answers(knowing) as server:
        trial = hold(server, tmp_path, lists="random")
        assert len(server.asked) == 20 * 3 + 20
        hold(server, tmp_path, lists="random")
        assert len(server.asked) == 80  # the second audit is free
    assert trial.p.shape == (20, 3, 6)
    assert trial.counts == {"answered": 80}
    assert not trial.drawn
    np.testing.assert_allclose(trial.p.sum(axis=2), 1.0)
    np.testing.assert_allclose(trial.p[:, 0], trial.p[:, 1], atol=1e-4)  # the same items, wherever they stand
    np.testing.assert_allclose(trial.p[:, 0], trial.otherwise, atol=1e-4)
    assert (np.sort(trial.places, axis=2) == np.arange(6)).all()
    assert (trial.places[:, 0] != trial.places[:, 1]).any()
    first = trial.contexts.targets.items[trial.contexts.targets.offsets[:-1]]
    assert (of_right(trial) == first).all()


def test_what_is_asked_never_knows_the_right_item(tmp_path: Path) -> None:
    """The right item stands at every place, and in no history."""
    with answers(knowing) as server:
        trial = hold(server, tmp_path, lists="random", contexts=40)
    at = trial.places[np.arange(len(trial.right))[:, None], np.arange(3), trial.right[:, None]]
    assert set(np.unique(at)) == set(range(6))
    for row, item in enumerate(of_right(trial).tolist()):
        assert item not in trial.contexts.history[row]


def test_lists_as_the_generator_draws_them(tmp_path: Path) -> None:
    task = Listwise(candidates=RecommenderCandidates(n=6))
    with answers(knowing) as server:
        trial = hold(server, tmp_path, task, contexts=10)
        assert trial.drawn
        again = hold(server, tmp_path / "b", task, contexts=10, lists="drawn", orders=1)
    np.testing.assert_array_equal(trial.candidates, again.candidates)
    assert again.p.shape == (10, 1, 6)


def test_pairs(tmp_path: Path) -> None:
    with answers(knowing) as server:
        trial = hold(server, tmp_path, Pairwise(candidates=RANDOM), lists="random")
    assert trial.p.shape == (20, 2, 2)
    assert (trial.places[:, 0] == 1 - trial.places[:, 1]).all()
    np.testing.assert_allclose(trial.p[:, 0], trial.p[:, 1], atol=1e-4)
    hits = trial.p.mean(axis=1).argmax(axis=1) == trial.right
    assert hits.mean() > 0.6


def test_one_by_one(tmp_path: Path) -> None:
    with answers(knowing) as server:
        trial = hold(server, tmp_path, Pointwise(candidates=RANDOM), lists="random", contexts=10)
        assert len(server.asked) == 2 * 10 * 6
    assert trial.p.shape == (10, 1, 6)
    assert (trial.places == -1).all()
    np.testing.assert_allclose(trial.p[:, 0], trial.otherwise, atol=1e-4)


def test_what_cannot_be_read_has_no_probability(tmp_path: Path) -> None:
    def script(asked: Asked) -> Answer:
        return chat("I would rather not say.") if asked.count % 2 else knowing(asked)

    with answers(script) as server:
        trial = hold(server, tmp_path, lists="random", contexts=10)
    assert 0 < np.isnan(trial.p).all(axis=2).sum() < 30
    assert trial.counts["unparsable"] > 0


def test_a_prompt_of_ones_own_has_no_other_words(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("version: 1\n--- user\nAfter\n{history}\nwhich?\n{candidates}\n", encoding="utf-8")
    with answers(knowing) as server:
        trial = hold(server, tmp_path, Listwise(candidates=RANDOM, prompt=mine), lists="random", contexts=5)
        assert len(server.asked) == 15
    assert trial.otherwise is None


def test_what_cannot_be_tried(tmp_path: Path) -> None:
    with answers(knowing) as server:
        with pytest.raises(TeacherError, match="attributes does not rank candidates"):
            hold(server, tmp_path, Attributes())
        assert not server.asked
