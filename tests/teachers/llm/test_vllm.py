"""How a server of vLLM is begun, waited for, asked and ended; in its place stands one that speaks the same protocol."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recdistill.errors import TeacherError
from recdistill.teachers.llm.backends.vllm import VLLM
from recdistill.teachers.llm.engine import run_async
from recdistill.teachers.llm.exchange import Reply, Request

ROOT = Path(__file__).parents[3]
SERVER = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from tests.llm_server import LLMServer, chat
port = next(part for part in sys.argv if part.startswith("--port=")).partition("=")[2]
time.sleep(0.3)
LLMServer(lambda asked: chat(" ".join(sys.argv[1:])), int(port))
time.sleep(600)
"""


def stand_in(folder: Path, code: str = SERVER) -> tuple[str, ...]:
    (folder / "server.py").write_text(code, encoding="utf-8")
    return sys.executable, str(folder / "server.py")


def alive(folder: Path) -> int:
    """Processes that were begun from that folder."""
    found = 0
    for process in Path("/proc").iterdir():
        try:
            found += str(folder / "server.py").encode() in (process / "cmdline").read_bytes()
        except OSError:
            continue
    return found


def until_none(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while alive(folder):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_it_is_begun_asked_and_ended(tmp_path: Path) -> None:
    config = VLLM(model="tiny", command=stand_in(tmp_path), revision="r1", context=512, arguments=("--seed=3",))

    async def work() -> tuple[Reply, str]:
        opened = await config.open()
        try:
            request = Request("chat", {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 1})
            return await opened.ask(request, "mark"), opened.capabilities.identity
        finally:
            await opened.close()

    reply, identity = run_async(work())
    assert reply.text.startswith("serve tiny --port=")
    assert reply.text.endswith("--dtype=auto --max-logprobs=20 --revision=r1 --max-model-len=512 --seed=3")
    assert identity == "vllm tiny r1 auto context=512"
    until_none(tmp_path)


def test_it_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    code = f"""
import asyncio, os
from recdistill.teachers.llm.backends.vllm import VLLM
async def work():
    opened = await VLLM(model="tiny", command={stand_in(tmp_path)!r}).open()
    print("open", flush=True)
    await asyncio.sleep(600)
asyncio.run(work())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=os.environ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        assert alive(tmp_path) > 0
        child.kill()
    until_none(tmp_path)


def test_what_goes_wrong_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no-such-vllm: is not installed on this machine; install vllm"):
        run_async(VLLM(command=("no-such-vllm",)).open())
    ends = stand_in(tmp_path, "raise SystemExit('no GPU\\nhere')")
    with pytest.raises(TeacherError, match="tiny: vllm ended before it served: no GPU here"):
        run_async(VLLM(model="tiny", command=ends).open())
    sleeps = stand_in(tmp_path, "import time; time.sleep(600)")
    with pytest.raises(TeacherError, match=r"is not loaded after 0\.2 seconds; raise loading"):
        run_async(VLLM(model="tiny", command=sleeps, loading=0.2).open())
    until_none(tmp_path)
