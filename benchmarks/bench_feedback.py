"""Is every acknowledged event there, once, after ``kill -9`` of server and database, 20 times?"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from postgres import PostgresServer, missing
from recdistill.errors import ServerError
from recdistill.serving import Client
from recdistill.serving.feedback import open_store
from server import Server, bundle_of, free_port, start

KILLS = 20
TARGET = {"kills": KILLS, "lost": 0, "twice": 0}
_THREADS, _AT_ONCE = 4, 5
_PAUSE = (0.2, 1.0)


class _Senders:
    """Threads that send events until each was acknowledged, whatever happens to the server."""

    def __init__(self, url: str) -> None:
        self.url, self.acknowledged, self.repeated = url, set[str](), 0
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(at,)) for at in range(_THREADS)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        while not self._stop.is_set():
            events = [{"id": uuid.uuid4().hex, "user": f"u{number}", "item": "1"} for _ in range(_AT_ONCE)]
            while True:
                try:
                    with Client(self.url, timeout=5, retries=0) as client:
                        client.feedback(events)
                    break
                except ServerError:
                    with self._lock:
                        self.repeated += 1
                    time.sleep(0.02)
            with self._lock:
                self.acknowledged.update(str(event["id"]) for event in events)

    def stop(self) -> None:
        """When the last of them is through; the server must be there."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def main() -> int:
    """Measure both stores and print."""
    measured: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as directory:
        place = bundle_of(Path(directory) / "small", 100, 8)
        events = place.with_name("small.serving") / "feedback.sqlite"
        found = {"sqlite": _killed(place, None, events, lambda: None)}
        if (why := missing()) is None:
            with PostgresServer() as database:

                def again() -> None:
                    database.kill()
                    database.start()

                found["postgres"] = _killed(place, database.url, events, again)
        else:
            print(f"PostgreSQL is left out: {why}")
        for name, result in found.items():
            print(f"{name:10} {result}")
            measured |= {f"{name}_{key}": value for key, value in result.items()}
    ok = all(value == 0 for key, value in measured.items() if key.endswith(("lost", "twice"))) and len(found) == 2
    print(json.dumps({"bench": "feedback", "target": TARGET, "measured": measured, "ok": ok}))
    return 0 if ok else 1


def _killed(place: Path, url: str | None, file: Path, database: Callable[[], None]) -> dict[str, int]:
    """Send events while the server, and with it the database, is killed again and again; what is there in the end."""
    port = free_port()
    options = () if url is None else ("--feedback", url)
    server: Server = start(place, *options, port=port)
    senders = _Senders(server.url)
    chance = random.Random(0)
    for number in range(KILLS):
        time.sleep(chance.uniform(*_PAUSE))
        server.kill()
        database()
        server = start(place, *options, port=port)
        if not (number + 1) % 5:
            print(f"{number + 1} kills, {len(senders.acknowledged):,} events acknowledged", flush=True)
    senders.stop()
    server.process.terminate()
    server.process.wait(60)
    store = open_store(url, file)
    stored: Counter[str] = Counter()
    last = 0
    while rows := store.after(last, 10_000):
        stored.update(event.id for _, event in rows)
        last = rows[-1][0]
    store.close()
    return {
        "kills": KILLS,
        "acknowledged": len(senders.acknowledged),
        "sent_again": senders.repeated,
        "lost": len(senders.acknowledged - set(stored)),
        "twice": sum(count > 1 for count in stored.values()),
    }


if __name__ == "__main__":
    sys.exit(main())
