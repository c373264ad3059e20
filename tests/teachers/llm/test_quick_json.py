"""What goes out and comes back as JSON, with orjson and without."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.teachers.llm import quick_json
from recdistill.teachers.llm.exchange import Reply, Request
from recdistill.teachers.llm.quick_json import exactly, packed, unpacked

TEXT = st.text(st.characters(), max_size=20)  # half surrogates too
PLAIN = st.booleans() | st.floats(allow_nan=False) | st.integers(-(2**70), 2**70) | TEXT
VALUES = st.recursive(PLAIN, lambda some: st.lists(some, max_size=4) | st.dictionaries(TEXT, some, max_size=4))


@pytest.fixture(params=["orjson", "json"], autouse=True, scope="module")
def _by(request: pytest.FixtureRequest) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "json":
            patch.setattr(quick_json, "orjson", None)
        yield


def near(value: Any) -> Any:
    """As it comes back: half surrogates are question marks, and a number above 64 bits may be a float."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {near(key): near(one) for key, one in value.items()}
    if isinstance(value, list):
        return [near(one) for one in value]
    return float(value) if isinstance(value, int) and abs(value) >= 2**63 else value


@given(VALUES)
def test_what_was_packed_comes_back(value: Any) -> None:
    assert near(unpacked(packed(value))) == near(value)


@given(VALUES)
def test_anything_that_json_reads_is_read(value: Any) -> None:
    data = json.dumps(value).encode()
    assert near(unpacked(data)) == near(json.loads(data))


def test_numbers_that_json_has_not() -> None:
    assert unpacked(b'{"a": -Infinity}') == {"a": -math.inf}
    assert math.isnan(unpacked(b"NaN"))
    reply = Reply("null and void", [[("A", -0.5), ("B", -math.inf)]])
    assert Reply.unpack(reply.pack()) == reply


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": 1,}', b"\xff"])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpacked(data)


def test_what_is_too_deep() -> None:
    with pytest.raises(RecursionError):
        unpacked(b"[" * 200_000)


def test_questions_are_filed_as_ever() -> None:
    """A changed form would have all that is in journals asked again."""
    body = {"messages": [{"role": "user", "content": "ü\n\ud800 \x7f"}], "top_p": 1e-07, "n": 2**70, "a": 1e16}
    wanted = '{"a":1e+16,"messages":[{"content":"ü\\n? \x7f","role":"user"}],"n":1180591620717411303424,"top_p":1e-07}'
    assert exactly(body) == Request("chat", body).encoded == wanted.encode()
    assert Request("chat", {"messages": [], "temperature": 0}, "p").key("m").hex() == "8a6727075917c086c69a35364896053f"
