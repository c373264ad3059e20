"""RecBole's half of ``bench_recbole.py``; runs in RecBole's own virtual environment and knows nothing of recdistill.

    python recbole_side.py where                          # print the folder of ml-100k inside RecBole's wheel
    python recbole_side.py sasrec DATA --epochs 5 …       # train, one JSON line per epoch, write its lists
    python recbole_side.py evaluation DATA --vectors …    # time Trainer.evaluate with given factors

``DATA`` is a folder with atomic files, as ``NAME/NAME.inter``. Everything is printed as JSON lines.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TOPK = 10


def say(**values: Any) -> None:
    """One JSON line for the parent."""
    print(json.dumps(values), flush=True)


def peak_mb() -> float:
    """Largest resident size of this process so far; the parent's is not counted in, as it is in ``ru_maxrss``."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


class Clock:
    """Wall seconds and seconds of CPU since it was made; far more of the first than of the second: a busy machine."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Both, by name."""
        return {
            "seconds": round(time.perf_counter() - self.wall, 4),
            "cpu_seconds": round(time.process_time() - self.cpu, 4),
        }


def prepare(model: str, data: Path, threads: int, settings: dict[str, Any]) -> tuple[Any, Any, Any, tuple[Any, ...]]:
    """RecBole's usual start: config, dataset, network, loaders for training, validation and test."""
    import torch
    from recbole.config import Config  # type: ignore[import-not-found]
    from recbole.data import create_dataset, data_preparation  # type: ignore[import-not-found]
    from recbole.utils import get_model, init_seed  # type: ignore[import-not-found]

    torch.set_num_threads(threads)
    sys.argv = sys.argv[:1]  # RecBole reads it
    common = {
        "data_path": str(data.parent),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "timestamp",
        "metrics": ["NDCG"],
        "topk": [TOPK],
        "valid_metric": f"NDCG@{TOPK}",
        "metric_decimal_place": 12,
        "use_gpu": False,
        "show_progress": False,
        "save_dataset": False,
        "save_dataloaders": False,
    }
    config = Config(model=model, dataset=data.name, config_dict=common | settings)
    init_seed(config["seed"], True)
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    network = get_model(model)(config, loaders[0].dataset)
    return config, dataset, network, loaders


def sasrec(args: argparse.Namespace) -> None:
    """Train SASRec and validate after each epoch, as ``run_recbole`` does, only without writing checkpoints.

    RecBole ranks the whole catalogue for sequential models and masks no history: ``FullSortEvalDataLoader.collate_fn``
    returns None for it when ``is_sequential``.
    """
    clock = Clock()
    settings = {
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "hidden_size": args.dim,
        "inner_size": 4 * args.dim,
        "n_layers": args.blocks,
        "n_heads": args.heads,
        "hidden_dropout_prob": args.dropout,
        "attn_dropout_prob": 0.0,  # recdistill's attention has none
        "MAX_ITEM_LIST_LENGTH": args.length,
        "train_batch_size": args.batch,
        "learning_rate": args.lr,
        "epochs": args.epochs,
        "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    }
    config, dataset, network, (train, valid, _) = prepare("SASRec", args.data, args.threads, settings)
    from recbole.trainer import Trainer  # type: ignore[import-not-found]

    trainer = Trainer(config, network)
    say(
        event="data",
        users=dataset.user_num - 1,
        items=dataset.item_num - 1,
        events=len(dataset.inter_feat) + dataset.user_num - 1,  # every event but a user's first has become a sample
        samples=len(train.dataset),
        validated=len(valid.dataset),
        parameters=sum(p.numel() for p in network.parameters()),
        **clock.read(),
    )
    clock = Clock()

    def after_epoch(epoch: int, score: float) -> None:
        nonlocal clock
        say(event="epoch", epoch=epoch + 1, **clock.read(), ndcg=float(score), peak_mb=peak_mb())
        clock = Clock()

    trainer.fit(train, valid, verbose=False, saved=False, callback_fn=after_epoch)
    say(event="end", peak_mb=peak_mb())
    args.out.write_text(json.dumps(lists(trainer, valid, dataset)))


def lists(trainer: Any, valid: Any, dataset: Any) -> dict[str, list[Any]]:
    """What the network recommends now for every validation sample, in the log's own ids."""
    import torch

    users, targets, ranked = [], [], []
    trainer.model.eval()
    with torch.no_grad():
        for batch in valid:
            interaction, scores, _, positive = trainer._full_sort_batch_eval(batch)
            users += dataset.id2token("user_id", interaction["user_id"].numpy()).tolist()
            targets += dataset.id2token("item_id", positive.numpy()).tolist()
            ranked += dataset.id2token("item_id", scores.topk(TOPK, dim=1).indices.numpy()).tolist()
    return {"users": users, "targets": targets, "lists": ranked}


def evaluation(args: argparse.Namespace) -> None:
    """Time ``Trainer.evaluate`` of a BPR matrix factorisation whose factors are given, not trained."""
    import numpy as np
    import torch

    settings = {
        "embedding_size": args.dim,
        "eval_batch_size": args.batch,
        "eval_args": {"split": {"LS": "test_only"}, "group_by": "user", "order": "TO", "mode": "full"},
    }
    config, dataset, network, (train, _, test) = prepare("BPR", args.data, args.threads, settings)
    from recbole.trainer import Trainer

    with np.load(args.vectors) as given, torch.no_grad():
        for field, table in (("user_id", network.user_embedding), ("item_id", network.item_embedding)):
            own = dataset.id2token(field, np.arange(1, dataset.num(field))).astype(np.int64)
            table.weight[1:] = torch.from_numpy(given[field][own])
    trainer = Trainer(config, network)
    trainer.eval_collector.data_collect(train)
    before = peak_mb()
    for _ in range(args.repeat):
        clock = Clock()
        result = trainer.evaluate(test, load_best_model=False)
        say(event="evaluation", **clock.read(), ndcg=float(result[f"ndcg@{TOPK}"]))
    say(event="end", users=len(test.uid_list), items=dataset.item_num - 1, peak_mb=peak_mb(), before_mb=before)


def main() -> None:
    """Do what the parent asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["where", "sasrec", "evaluation"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, help="file for the lists of the last epoch")
    parser.add_argument("--vectors", type=Path, help="npz file with user_id and item_id factors")
    for name, default in {"dim": 64, "blocks": 2, "heads": 2, "length": 50, "threads": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in {"batch": 2048, "epochs": 1, "repeat": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    if args.command == "where":
        import recbole  # type: ignore[import-not-found]

        say(event="where", path=str(Path(recbole.__file__).parent / "dataset_example" / "ml-100k"))
        return
    args.data = args.data.resolve()
    args.out = args.out and args.out.resolve()
    args.vectors = args.vectors and args.vectors.resolve()
    with tempfile.TemporaryDirectory() as folder:  # RecBole leaves logs and TensorBoard events where it is started
        os.chdir(folder)
        (sasrec if args.command == "sasrec" else evaluation)(args)


if __name__ == "__main__":
    main()
