"""Candidates ranked by how likely their titles go on a history."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recdistill as rd
from recdistill.errors import ConfigError, TeacherError
from recdistill.evaluation.verdict import warnings
from recdistill.knowledge import Knowledge
from recdistill.models.popularity import Popularity
from recdistill.recipes.audit import examine
from recdistill.teachers.llm.backends import Endpoint, Transformers
from recdistill.teachers.llm.budget import Budget, BudgetSpent, Prices
from recdistill.teachers.llm.candidates import ColdCandidates, RandomCandidates, RecommenderCandidates
from recdistill.teachers.llm.cluster.keeper import Keeper
from recdistill.teachers.llm.cluster.worker import Asking
from recdistill.teachers.llm.engine import Again
from recdistill.teachers.llm.estimate import estimate
from recdistill.teachers.llm.exchange import Capabilities, Reply, Request
from recdistill.teachers.llm.journal import State
from recdistill.teachers.llm.reading import LETTERS
from recdistill.teachers.llm.rounds import label_in_rounds
from recdistill.teachers.llm.tasks import Likelihood
from recdistill.teachers.llm.trial import hold_trial
from recdistill.testing import tiny_split

from ...llm_server import Answer, Asked, answers
from .jobs import BARE, settle
from .test_local import write_chat_model
from .test_rounds import Pupils

SPLIT = tiny_split()
ABLE = Capabilities("m", "m", likelihood=True)
RANDOM = RandomCandidates(n=6)


def number_of(title: str) -> int:
    return int(title.strip().rstrip(".").removeprefix("Item "))


def log_likelihood(prefix: str, text: str) -> float:
    """A model that knows the chain of the tiny split, and likes round numbers whatever came before."""
    item, fame = number_of(text), -1.0 if number_of(text) % 10 == 0 else -2.0
    if "Item" not in prefix:
        return fame
    newest = number_of(prefix.rstrip(" ,").rpartition("Item")[2])
    return fame - 0.3 * min(abs(item - newest - 1), 12)


def oracle(request: Request) -> Reply:
    numbers = [
        (log_likelihood(prefix, text), 2 + (number_of(text) >= 10))
        for prefix in request.body["prefixes"]
        for text in request.body["continuations"]
    ]
    return Reply(numbers=np.array(numbers, dtype=np.float32).ravel(), tokens_in=9)


def job_of(**changes: Any) -> Any:
    return Likelihood(**({"contexts": 12, "candidates": RANDOM, "prior": 0.0} | changes)).job(SPLIT, Knowledge(), ABLE)


def test_a_question_is_the_text_once_and_all_candidates() -> None:
    job = job_of(history=3, prior=0.5)
    request = job.request(0)
    history = [SPLIT.dataset.items.title(item) for item in job.asked.history[0].tolist()]
    assert request.route == "likelihood"
    assert request.body["prefixes"] == [
        f"One person liked all of these: {', '.join(history)}, ", "One person liked all of these: ",
    ]  # fmt: skip
    shown = [SPLIT.dataset.items.title(item) for item in np.sort(job.candidates[0]).tolist()]
    assert request.body["continuations"] == shown
    assert len(job_of(history=3).request(0).body["prefixes"]) == 1
    assert len(job) == 12


@pytest.mark.parametrize("prior", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("length", ["sum", "mean"])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_by_the_formula(prior: float, length: str, temperature: float) -> None:
    job = job_of(prior=prior, length=length, temperature=temperature)
    request = job.request(3)
    items, p, sure = job.probabilities(3, oracle(request))
    scores = []
    for text in request.body["continuations"]:
        first, second = (log_likelihood(prefix, text) for prefix in (request.body["prefixes"] * 2)[:2])
        tokens = 2 + (number_of(text) >= 10) if length == "mean" else 1
        scores.append((first / tokens - prior * second / tokens) / temperature)
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    assert items.tolist() == np.sort(job.candidates[3]).tolist()
    assert sure == 1.0


def test_lists_become_rankings(tmp_path: Path) -> None:
    job = job_of(candidates=RecommenderCandidates(n=8))
    knowledge, facts = settle(job, oracle, tmp_path)
    assert facts == {"contexts": 12, "lists": 12, "answered by": "likelihood"}
    (store,) = knowledge.rankings("llm")
    found = store.read(job.asked.positions)
    np.testing.assert_allclose(np.exp(found.logp).sum(axis=1), 0.9, atol=0.02)
    np.testing.assert_allclose(found.confidence, 1.0, atol=1e-3)
    assert "likelihood of its title" in store.manifest.meaning


def test_what_is_taken_off_leaves_what_the_history_says() -> None:
    """With all of the prior off, fame decides nothing."""
    plain, without, differ = job_of(length="sum"), job_of(length="sum", prior=1.0), 0
    for number in range(len(plain)):
        items, p, _ = without.probabilities(number, oracle(without.request(number)))
        newest = int(without.asked.history[number][-1])
        distance = np.minimum(np.abs(items - newest - 1), 12)
        assert (np.diff(p[np.argsort(distance, kind="stable")]) <= 1e-9).all()
        differ += not np.allclose(p, plain.probabilities(number, oracle(plain.request(number)))[1])
    assert differ


@pytest.mark.parametrize(
    "numbers",
    [None, [], [-1.0, 2.0], [-1.0, 2.0] * 5 + [np.nan, 1.0], [-1.0, 2.0] * 5 + [-1.0, 0.0], [-1.0, 2.0] * 7],
)
def test_numbers_that_are_no_answer(numbers: list[float] | None) -> None:
    found = None if numbers is None else np.array(numbers, dtype=np.float32)
    assert not job_of().readable(0, Reply(numbers=found))


def test_a_model_that_cannot_is_told_at_once() -> None:
    with pytest.raises(TeacherError, match=r"m: does not say how likely it finds a text; use backend: \{type: trans"):
        Likelihood(contexts=3, candidates=RANDOM).job(SPLIT, Knowledge(), BARE)


@pytest.mark.parametrize(
    ("text", "prior", "message"),
    [
        ("version: 1\n--- user\nAfter {history}:\n", 0, "the question lacks {candidate}"),
        ("version: 1\n--- user\n{candidate} after {history}\n", 0, "is no text that a title goes on"),
        ("version: 1\n--- system\nYou know\n--- user\n{history}, {candidate}\n", 0, "give it a user part only"),
        ("version: 1\n--- user\n{history}, {candidate}\n", 1, "add '--- without'"),
        ("version: 1\n--- user\n{history}, {candidate}.\n--- without\n{candidate}\n", 1, "which ends alike"),
    ],
)
def test_prompts_that_cannot_be_continued(tmp_path: Path, text: str, prior: float, message: str) -> None:
    (tmp_path / "mine.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        job_of(prompt=tmp_path / "mine.txt", prior=prior)
    assert message in str(told.value)


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(
        'version: 1\njoined: " und "\n--- user\nNach {history} kommt {candidate}.\n', encoding="utf-8"
    )
    request = job_of(prompt=tmp_path / "mine.txt", history=2).request(0)
    assert " und Item" in request.body["prefixes"][0]
    assert request.body["prefixes"][0].endswith(" kommt ")
    assert all(text.endswith(".") for text in request.body["continuations"])


def test_items_of_which_nothing_is_known_are_not_asked_about() -> None:
    titles = ["" if item % 2 else f"Item {item}" for item in range(SPLIT.n_items)]
    items = replace(SPLIT.dataset.items, titles=titles, texts=[""] * SPLIT.n_items)
    split = replace(SPLIT, dataset=replace(SPLIT.dataset, items=items))
    job = Likelihood(contexts=12, history=1, candidates=RANDOM).job(split, Knowledge(), ABLE)
    requests = [job.request(number) for number in range(12)]
    for number, request in enumerate(requests):
        known = (job.candidates[number] % 2 == 0).sum()
        if request is None:
            assert job.asked.history[number][-1] % 2 or known < 2
        else:
            assert len(request.body["continuations"]) == known


def test_new_items_can_be_asked_about() -> None:
    job = Likelihood(contexts=5, candidates=ColdCandidates(n=4, events=1000)).job(SPLIT, Knowledge(), ABLE)
    assert job.request(0) is not None


def echoing(asked: Asked) -> Answer:
    """A server with the oracle's knowledge, whose tokens are words."""
    if asked.path == "/models":
        return Answer({"data": [{"id": "base"}]})
    if asked.path != "/completions":
        return Answer({"error": {"message": "not here"}}, 404 if asked.path != "/chat/completions" else 400)
    choices, prefix, read = [], "", 0
    for at, prompt in enumerate(asked.body["prompt"]):
        words, last = prompt.split(), -0.5
        if prompt.endswith(" "):
            prefix = prompt
        elif "Item" in prompt:
            last = log_likelihood(prefix, prompt.removeprefix(prefix))
        logprobs = {"tokens": [*words, "!"], "token_logprobs": [None, *([-0.5] * (len(words) - 2)), last, -1.0]}
        choices.append({"index": at, "text": "", "logprobs": logprobs})
        read += len(words)
    return Answer({"choices": choices, "usage": {"prompt_tokens": read, "completion_tokens": len(choices)}})


echoing.probed = True  # type: ignore[attr-defined]


def test_on_trial_there_are_no_places_and_one_question(tmp_path: Path) -> None:
    llm = rd.teachers.LLM(task=Likelihood(candidates=RANDOM), backend=Endpoint(url="http://127.0.0.1:1/v1"))
    with answers(echoing) as server:
        llm = llm.replace(backend=Endpoint(url=server.url))
        trial = hold_trial(llm, SPLIT, tmp_path / "k", contexts=20, orders=3, lists="random")
        again = hold_trial(llm, SPLIT, tmp_path / "k", contexts=20, orders=3, lists="random")
    assert trial.p.shape == (20, 1, 6)
    assert (trial.places == -1).all()
    assert trial.counts == {"answered": 40}  # once in each wording
    assert (trial.tokens[0] > 0, again.tokens) == (True, (0, 0))
    assert trial.otherwise is not None
    assert np.abs(trial.p[:, 0] - trial.otherwise).max() < 1e-5
    found = examine(trial, SPLIT, {"popularity": Popularity().build(SPLIT)})
    assert (found.bias, found.corrected, found.same_first) == (None, None, None)
    assert found.same_first_in_other_words == pytest.approx(1.0)
    assert found.hits.mean > found.chance
    assert not any("position" in line for line in warnings(found))


def test_the_whole_way_in_this_process(tmp_path: Path) -> None:
    """A model without a chat template; what is not part of the question is changed without asking anew."""
    titles = [f"{LETTERS[item % 26]} film {LETTERS[item // 26]}" for item in range(SPLIT.n_items)]
    split = replace(SPLIT, dataset=replace(SPLIT.dataset, items=replace(SPLIT.dataset.items, titles=titles)))
    folder = write_chat_model(tmp_path / "bare", template=None)
    backend = Transformers(model=folder, dtype="float32", device="cpu", context=128)
    llm = rd.teachers.LLM(task=Likelihood(contexts=8, candidates=RandomCandidates(n=4), prior=0.5), backend=backend)
    facts = llm.teach(split, tmp_path / "a" / "k", "local")
    assert facts["questions"] == {"answered": 8}
    assert facts["tokens_in"] > 0
    warm = llm.replace(task=llm.task.replace(temperature=3.0, length="sum"), journal=tmp_path / "a" / "journal.sqlite")
    again = warm.teach(split, tmp_path / "b" / "k", "local")
    assert again["questions"] == {"answered": 8}
    assert again["tokens_in"] == facts["tokens_in"]  # nothing was asked anew
    one, other = (Knowledge.open(tmp_path / name / "k").rankings("local")[0] for name in "ab")
    positions = np.flatnonzero(one.written)
    assert (one.read(positions).confidence > 0).all()
    assert not np.allclose(one.read(positions).logp, other.read(positions).logp)


def words_read(server: Any) -> int:
    """Tokens that a server of :func:`echoing` has counted, of what it was asked after the probe."""
    asked = [json.loads(content.removeprefix("/v1/completions")) for content in server.answered if "Item" in content]
    return sum(len(prompt.split()) for body in asked for prompt in body["prompt"])


def test_what_it_costs_is_said_before(tmp_path: Path) -> None:
    task = Likelihood(at="all", contexts=200, candidates=RANDOM, prior=0.5)
    with answers(echoing) as server:
        llm = rd.teachers.LLM(task=task, backend=Endpoint(url=server.url))
        before = estimate(llm, SPLIT, tmp_path / "k", sample=24)
        sampled = words_read(server)
        facts = llm.teach(SPLIT, tmp_path / "k")
        assert facts["tokens_in"] == words_read(server)
    assert (before.questions, before.left, before.sampled) == (200, 176, 24)
    assert before.tokens_in.value == pytest.approx(facts["tokens_in"] - sampled, rel=0.1)
    assert before.tokens_out.value == pytest.approx(176 * 2 * 7)


def test_a_budget_stops_it(tmp_path: Path) -> None:
    task = Likelihood(contexts=30, candidates=RANDOM)
    with answers(echoing) as server:
        where = Endpoint(url=server.url, pace={"start": 1, "most": 1})
        llm = rd.teachers.LLM(task=task, backend=where, budget=Budget(requests=5))
        with pytest.raises(BudgetSpent, match="5 requests"):
            llm.teach(SPLIT, tmp_path / "k")
        facts = llm.replace(budget=Budget()).teach(SPLIT, tmp_path / "k")
        assert facts["questions"] == {"answered": 30}
        assert sum("Item" in content for content in server.answered) == 30  # nothing twice


def test_in_rounds_that_a_student_chooses(tmp_path: Path) -> None:
    task = Likelihood(contexts=30, candidates=RecommenderCandidates(n=6))
    select = {"rounds": 2, "per_round": 5, "on_policy": True}
    with answers(echoing) as server:
        llm = rd.teachers.LLM(task=task, backend=Endpoint(url=server.url), select=select)
        facts = label_in_rounds(llm, SPLIT, tmp_path / "k", "llm", Knowledge(), Pupils(0.1, 0.2, 0.3))
    assert [(r["candidates"], r["lists"]) for r in facts["rounds"]] == [("recommender", 5), ("student", 5)]
    assert llm.at_most().task.contexts == 10


def test_a_worker_elsewhere_asks_the_same(tmp_path: Path) -> None:
    """The questions travel; the journal that a keeper writes answers one machine as well."""
    job = deepcopy(Likelihood(contexts=10, candidates=RANDOM).job(SPLIT, Knowledge(), ABLE))
    with answers(echoing) as server:
        keeper = Keeper(tmp_path / "j", "job", Budget(), Prices(), (server.url,))
        able = replace(ABLE, model="base", identity="base")

        def call(method: str, *arguments: Any) -> Any:
            return getattr(keeper, method)(*arguments)

        worker = Asking(call, job, Endpoint(url=server.url), Again(), able, False)
        worker({"number": np.arange(10)})
        worker.close()
        known = keeper.known([job.request(number).key("base") for number in range(10)])
        keeper.close()
    assert [found.state for found in known.values()] == [State.ANSWERED] * 10
