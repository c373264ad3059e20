"""A real server for tests: uvicorn in a thread, on a port of its own."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from recdistill.compression import write_bundle
from recdistill.files import write_json
from recdistill.models.mf import MF
from recdistill.models.popularity import Popularity
from recdistill.models.sasrec import SASRec
from recdistill.serving import Bundle
from recdistill.serving.deployment import Home
from recdistill.serving.http import Keys, Settings, create_app
from recdistill.serving.http.protocol import LimitedConfig, LimitedProtocol
from recdistill.serving.showcase import FILE, VERSION
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=50, n_items=300)
MODELS = {"sasrec": SASRec(dim=8, max_length=6), "mf": MF(dim=8), "popularity": Popularity()}
Start = Callable[..., str]


@contextmanager
def running(home: Home, keys: dict[str, str] | None = None, **settings: Any) -> Iterator[str]:
    """A server for a home; yields its address."""
    limits = Settings(**({"watch": 0.02} | settings))
    listening = socket.create_server(("127.0.0.1", 0))
    config = LimitedConfig(
        create_app(home, limits, Keys(keys or {})),
        http=LimitedProtocol, lifespan="on", log_config=None, access_log=False, proxy_headers=False, ws="none",
        timeout_keep_alive=5, limit_concurrency=limits.max_connections,
    )  # fmt: skip
    config.limits = limits
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="package")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each of some models, by name."""
    root = tmp_path_factory.mktemp("bundles")
    return {name: write_bundle(config.build(SPLIT), SPLIT.dataset, root / name) for name, config in MODELS.items()}


@pytest.fixture(scope="package")
def run_with_showcase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose bundle has a text tower, with models to compare it with and two lists of a teacher."""
    run = tmp_path_factory.mktemp("shown") / "run"
    models = {kind: MODELS["sasrec"].build(SPLIT, seed=seed) for seed, kind in enumerate(("distilled", "alone"))}
    for kind, model in models.items():
        write_bundle(model, SPLIT.dataset, run / "showcase" / kind, vectors="float32")
    served = write_bundle(models["distilled"], SPLIT.dataset, run / "bundle", tower=True)
    contexts = [
        {"history": ["i1", "i2", "i3"], "next": ["i4"], "items": [f"i{at}" for at in range(4, 24)]},
        {"history": ["i7", "i8"], "next": ["i9"], "items": [f"i{at}" for at in range(40, 60)]},
    ]
    body = {
        "version": VERSION,
        "models": [{"name": f"student {k}", "bundle": k, "about": f"trained {k}"} for k in ("alone", "distilled")],
        "teacher": {"name": "large", "about": "stored answers", "contexts": contexts},
        "served": Bundle.open(served).fingerprint,
    }
    write_json(run / "showcase" / FILE, body)
    return run


@pytest.fixture
def shown(run_with_showcase: Path, tmp_path: Path) -> Iterator[str]:
    """A server for a copy of that run."""
    shutil.copytree(run_with_showcase, tmp_path / "shown")
    with running(Home.of(tmp_path / "shown"), new_items=3) as url:
        yield url


@pytest.fixture
def home(bundles: dict[str, Path], tmp_path: Path) -> Home:
    """A home that serves the SASRec bundle."""
    shutil.copytree(bundles["sasrec"], tmp_path / "run" / "bundle")
    return Home.of(tmp_path / "run")


@pytest.fixture
def start(home: Home) -> Iterator[Start]:
    """Starts a server for ``home``; it is stopped at the end."""
    with ExitStack() as stack:
        yield lambda *args, **settings: stack.enter_context(running(home, *args, **settings))
