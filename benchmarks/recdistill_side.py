"""recdistill's half of ``bench_recbole.py``: the same commands as ``recbole_side.py``, the same JSON lines.

python recdistill_side.py generate DATA --vectors FILE     # a log for the evaluation, and the factors behind it
python recdistill_side.py sasrec DATA --lists FILE --seed 0 …
python recdistill_side.py evaluation DATA --vectors FILE
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recbole_side import TOPK, Clock, peak_mb, say
from recdistill.data import LeaveLastOut, Split, read_recbole
from recdistill.evaluation import metric_values, rank

METRIC = f"ndcg@{TOPK}"
EVENTS = 22
"""Events of a user in the generated log."""


def generate(args: argparse.Namespace) -> None:
    """Random factors, and for each user events with items that these factors like; so that metrics are well above 0."""
    random = np.random.default_rng(0)
    users, items = (random.standard_normal((n, args.dim), dtype=np.float32) for n in (args.users, args.items))
    tiled = np.resize(random.permutation(args.items), (args.users, 3))  # every item occurs
    chosen = np.empty((args.users, EVENTS), dtype=np.int64)
    for user in range(args.users):
        seen = random.integers(0, args.items, 1000)
        best = seen[np.argsort(-(items[seen] @ users[user]))]
        best = best[np.sort(np.unique(best, return_index=True)[1])]
        target, rest = best[0], np.setdiff1d(best[1 : EVENTS - 2], tiled[user])
        row = np.concatenate((tiled[user], rest))
        chosen[user] = np.concatenate((np.resize(row[row != target], EVENTS - 1), [target]))
    args.data.mkdir(parents=True, exist_ok=True)
    with (args.data / f"{args.data.name}.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, row in enumerate(chosen.tolist()):
            file.writelines(f"{user}\t{item}\t{place}\n" for place, item in enumerate(dict.fromkeys(row), start=1))
    np.savez(args.vectors, user_id=users, item_id=items)


def load(data: Path) -> Split:
    """Read the atomic file and hold out the last two events of each user."""
    return LeaveLastOut().split(read_recbole(data))


def sasrec(args: argparse.Namespace) -> None:
    """Train and validate as often as asked, and score the lists of the other side on our validation targets."""
    clock = Clock()
    from recdistill.models import SASRec
    from recdistill.training import Training, fit

    set_threads(args.threads)
    split = load(args.data)
    config = SASRec(dim=args.dim, blocks=args.blocks, heads=args.heads, max_length=args.length, dropout=args.dropout)
    say(
        event="data",
        users=split.n_users,
        items=split.n_items,
        events=split.dataset.log.n_events,
        validated=len(split.valid),
        **clock.read(),
    )
    training = Training(
        epochs=args.epochs,
        patience=args.epochs,
        metric=METRIC,
        exclude_history=False,
        batch=args.batch,
        lr=args.lr,
        warmup=args.warmup,
        weight_decay=args.weight_decay,
        clip=args.clip,
        seed=args.seed,
        device="cpu",
        precision=args.precision,
    )
    clock = Clock()
    fitted = fit(config, split, training=training)
    whole = clock.read()
    for record in fitted.history:
        say(event="epoch", epoch=record["epoch"], seconds=record["seconds"], ndcg=record["valid"][METRIC])
    say(
        event="end",
        outside=round(whole["seconds"] - sum(record["seconds"] for record in fitted.history), 3),
        **whole,
        parameters=fitted.model.n_parameters,
        peak_mb=peak_mb(),
    )
    if args.lists:
        say(event="check", **check(json.loads(args.lists.read_text()), split))


def check(theirs: dict[str, list[Any]], split: Split) -> dict[str, Any]:
    """Whether both sides ask the same, and our metric of their lists."""
    items = {item: index for index, item in enumerate(split.dataset.items.ids)}
    own = {split.dataset.users[user]: row for row, user in enumerate(split.valid.users)}
    at = [own[user] for user in theirs["users"]]
    targets = split.valid.take(at).targets
    same = len(at) == len(own) and targets.items.tolist() == [items[item] for item in theirs["targets"]]
    ranked = np.array([[items[item] for item in row] for row in theirs["lists"]], dtype=np.int32)
    return {"same_targets": same, "ndcg_of_lists": float(np.mean(metric_values(ranked, targets, METRIC)))}


def evaluation(args: argparse.Namespace) -> None:
    """Time ranking the whole catalogue and the metric, for the given factors."""
    from recdistill.models import MF

    set_threads(args.threads)
    split = load(args.data)
    with np.load(args.vectors) as given:
        tensors = {
            "users": given["user_id"][numbers(split.dataset.users)],
            "items": given["item_id"][numbers(split.dataset.items.ids)],
        }
    model = MF(dim=args.dim, bias=False).restore(split.n_items, split.n_users, tensors)
    before = peak_mb()
    for _ in range(args.repeat):
        clock = Clock()
        ndcg = float(np.mean(metric_values(rank(model, split.test, TOPK), split.test.targets, METRIC)))
        say(event="evaluation", **clock.read(), ndcg=ndcg)
    say(event="end", users=len(split.test), items=split.n_items, peak_mb=peak_mb(), before_mb=before)


def numbers(ids: Any) -> npt.NDArray[np.int64]:
    """Ids of the generated log are row numbers of the factors."""
    return np.array([int(text) for text in ids])


def set_threads(n: int) -> None:
    """As on the other side."""
    import torch

    torch.set_num_threads(n)


def main() -> None:
    """Do what the parent asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["generate", "sasrec", "evaluation"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--vectors", type=Path, help="npz file with user_id and item_id factors")
    parser.add_argument("--lists", type=Path, help="the other side's lists")
    whole = {"users": 20_000, "items": 50_000, "dim": 64, "blocks": 2, "heads": 2, "length": 50, "threads": 1}
    whole |= {"batch": 2048, "epochs": 10, "warmup": 50, "seed": 0, "repeat": 1}
    for name, default in whole.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, value in {"dropout": 0.2, "lr": 2e-3, "weight-decay": 0.01, "clip": 1.0}.items():
        parser.add_argument(f"--{name}", type=float, default=value)
    parser.add_argument("--precision", default="fp32")
    args = parser.parse_args()
    {"generate": generate, "sasrec": sasrec, "evaluation": evaluation}[args.command](args)


if __name__ == "__main__":
    main()
