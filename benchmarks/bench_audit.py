"""Whether the audit ranks four teachers whose order is known, and names what is wrong with the last.

A recommender (EASE, tuned on validation), SmolLM2-135M as it comes, the recommender with its scores shuffled, and one
that always answers A, about the same lists of the packaged MovieLens. SmolLM2 is asked by the likelihood of titles; the
other three are servers on loopback that read the films out of a listwise question and answer with a letter. Teachers
are ranked by their hits, without the bias of places where there is one; those whose interval holds the rate of guessing
are level, except that one that answers by the place is below one that does not. Targets: this order, the position bias
of the last one named and none found elsewhere. SmolLM2 asked for letters stands beside, to show why it is not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

import recdistill as rd
from recdistill.cli.demo import RECIPE
from recdistill.data.dataset import Contexts
from recdistill.data.sequences import Sequences
from recdistill.evaluation import tune_baselines
from recdistill.evaluation.verdict import verdict, warnings
from recdistill.recipes import load_recipe
from recdistill.recipes.audit import examine
from recdistill.recipes.sources import split_data
from recdistill.teachers.llm.backends import Endpoint, Transformers
from recdistill.teachers.llm.candidates import RandomCandidates
from recdistill.teachers.llm.tasks import Likelihood, Listwise
from recdistill.teachers.llm.trial import hold_trial

Logits = Callable[[list[int], list[int]], Any]
"""Items of the history and of the candidates, in the order shown, to a logit for each candidate."""
OFFERED = 5
ORDER = ("recommender", "smollm2", "shuffled", "always-a")


def main() -> None:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--contexts", type=int, default=int(os.environ.get("CONTEXTS", "300")))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(RECIPE)
        split = split_data(recipe.data, recipe.base, Path(folder) / "quarantine.csv")
        others: dict[str, Any] = tune_baselines(split, ("popularity", "item-knn", "ease"))
        best = others.pop("ease")
        found: dict[str, dict[str, Any]] = {}
        for name, kind, where in _teachers(split, best):
            with where as backend:
                task = kind(history=5, candidates=RandomCandidates(n=OFFERED))
                llm = rd.teachers.LLM(task=task, backend=backend)
                trial = hold_trial(
                    llm, split, Path(folder) / name / "k", contexts=options.contexts, orders=2, lists="random"
                )
                found[name] = _told(examine(trial, split, others))
                print(f"{name}: {found[name]['verdict']}")
                for line in found[name]["warnings"]:
                    print(f"  {line}")
    print(json.dumps(_result(found, options.contexts)))


def _told(audit: Any) -> dict[str, Any]:
    bias, corrected = audit.bias, audit.corrected or audit.hits
    return {
        "hits": round(audit.hits.mean, 4), "interval": [round(audit.hits.low, 4), round(audit.hits.high, 4)],
        "reciprocal_rank": round(audit.rank, 4), "same_first": _rounded(audit.same_first),
        "same_first_in_other_words": _rounded(audit.same_first_in_other_words),
        "bias": _rounded(bias and bias.away), "bias_found": bias is not None and bias.found,
        "corrected_hits": round(corrected.mean, 4),
        "corrected_interval": [round(corrected.low, 4), round(corrected.high, 4)],
        "others": {other.name: round(other.hits.mean, 4) for other in audit.beside},
        "verdict": verdict(audit), "warnings": warnings(audit), "chance": audit.chance,
        "knows": corrected.low > audit.chance, "weight": round(audit.share, 2),
    }  # fmt: skip


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _result(found: dict[str, dict[str, Any]], contexts: int) -> dict[str, Any]:
    """Target and measured order."""
    groups: dict[tuple[bool, float, bool], list[str]] = {}
    for name in ORDER:
        groups.setdefault(_rank(found[name]), []).append(name)
    order = [" = ".join(sorted(groups[rank])) for rank in sorted(groups, reverse=True)]
    named = any("position bias: the answer is A" in line for line in found["always-a"]["warnings"])
    clean = not any(found[name]["bias_found"] for name in ORDER if name != "always-a")
    return {
        "bench": "audit",
        "target": {"order": list(ORDER), "bias_named": True},
        "measured": {"order": order, "bias_named": named}, "teachers": found, "contexts": contexts,
        "ok": order == list(ORDER) and named and clean,
    }  # fmt: skip


def _rank(one: dict[str, Any]) -> tuple[bool, float, bool]:
    return one["knows"], one["corrected_hits"] if one["knows"] else 0.0, not one["bias_found"]


def _teachers(split: Any, best: Any) -> Iterator[tuple[str, type[Listwise | Likelihood], Any]]:
    titles = {split.dataset.items.title(item): item for item in range(split.n_items)}

    def scores(history: list[int], candidates: list[int]) -> Any:
        contexts = Contexts(np.array([-1], dtype=np.int32), Sequences.from_lists([history]), Sequences.from_lists([[]]))
        return 8 * np.asarray(best.score(contexts))[0, candidates]

    def shuffled(history: list[int], candidates: list[int]) -> Any:
        rng = np.random.default_rng([*history, *sorted(candidates)])
        fate = dict(zip(sorted(candidates), rng.permutation(scores(history, sorted(candidates))), strict=True))
        return np.array([fate[item] for item in candidates])

    def always_a(_: list[int], candidates: list[int]) -> Any:
        return np.array([0.0] + [-6.0] * (len(candidates) - 1))

    for name, logits in (("recommender", scores), ("shuffled", shuffled), ("always-a", always_a)):
        yield name, Listwise, _served(titles, logits)
    for name, kind in (("smollm2", Likelihood), ("smollm2 by letters", Listwise)):
        yield name, kind, _as_it_is(Transformers(context=1024))


@contextmanager
def _as_it_is(backend: Any) -> Iterator[Any]:
    yield backend


@contextmanager
def _served(titles: dict[str, int], logits: Logits) -> Iterator[Endpoint]:
    """An endpoint whose answers come from a function."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Silent."""

        def do_GET(self) -> None:
            self._send({"data": [{"id": "made-up"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                self._send({"error": {"message": "not here"}}, 404)
                return
            self._send(_answer(body["messages"][-1]["content"], titles, logits))

        def _send(self, body: Any, status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Endpoint(url=f"http://127.0.0.1:{server.server_address[1]}/v1")
    finally:
        server.shutdown()
        server.server_close()


def _answer(text: str, titles: dict[str, int], logits: Logits) -> Any:
    """The letters with their log-probabilities; the probe's questions offer nothing and get an A."""
    history = [titles[title] for title in re.findall(r"^\d+\. (.*)$", text, re.MULTILINE) if title in titles]
    offered = re.findall(r"^([A-Z])\. (.*)$", text, re.MULTILINE)
    letters = [letter for letter, title in offered if title in titles] or list("ABCDEFGHIJKLMNOPQRST")
    found = logits(history, [titles[title] for _, title in offered if title in titles]) if history else np.zeros(20)
    found = found[: len(letters)]
    found = found - np.logaddexp.reduce(found)
    best = sorted(zip(letters, found.tolist(), strict=True), key=lambda pair: -pair[1])
    top = [{"token": letter, "logprob": logp} for letter, logp in best]
    choice = {
        "index": 0, "message": {"role": "assistant", "content": best[0][0]}, "finish_reason": "stop",
        "logprobs": {"content": [{**top[0], "top_logprobs": top}]},
    }  # fmt: skip
    return {"choices": [choice], "usage": {"prompt_tokens": len(text) // 4, "completion_tokens": 1}}


if __name__ == "__main__":
    main()
