from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from recdistill.serving.http.batching import Batcher


def test_what_arrives_together_is_answered_together() -> None:
    sizes: list[float] = []

    def work(questions: Sequence[int]) -> list[int]:
        return [question * 2 for question in questions]

    async def ask() -> list[int]:
        batcher = Batcher(work, 4, sizes.append)
        first = await asyncio.gather(*(batcher(k) for k in range(6)))
        return [*first, await batcher(10)]

    assert asyncio.run(ask()) == [0, 2, 4, 6, 8, 10, 20]
    assert sizes == [4, 2, 1]


def test_a_failure_belongs_to_its_question() -> None:
    def work(questions: Sequence[int]) -> list[int]:
        if 0 in questions:
            raise ValueError("zero")
        return list(questions)

    async def ask() -> None:
        batcher = Batcher(work, 8)
        got = await asyncio.gather(*(batcher(k) for k in range(3)), return_exceptions=True)
        assert [str(answer) for answer in got] == ["zero", "1", "2"]
        assert isinstance(got[0], ValueError)
        assert await batcher(7) == 7

    asyncio.run(ask())


def test_a_question_that_was_given_up_is_not_answered() -> None:
    asked: list[int] = []

    def work(questions: Sequence[int]) -> list[int]:
        asked.extend(questions)
        return list(questions)

    async def ask() -> None:
        batcher = Batcher(work, 8)
        tasks = [asyncio.ensure_future(batcher(k)) for k in range(3)]
        await asyncio.sleep(0)  # they are waiting now
        tasks[1].cancel()
        assert await tasks[0] == 0
        assert await tasks[2] == 2
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]

    asyncio.run(ask())
    assert asked == [0, 2]


def test_answers_may_come_later() -> None:
    async def ask() -> None:
        asked: list[list[int]] = []

        def work(questions: Sequence[int]) -> asyncio.Future[Sequence[int]]:
            asked.append(list(questions))
            return asyncio.ensure_future(late(questions))

        async def late(questions: Sequence[int]) -> list[int]:
            await asyncio.sleep(0.01)
            if 0 in questions:
                raise ValueError("zero")
            return [10 * question for question in questions]

        batcher = Batcher(work, 8)
        tasks = [asyncio.ensure_future(batcher(k)) for k in range(4)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # they are being asked now
        tasks[3].cancel()
        got = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(answer) for answer in got] == ["zero", "10", "20", ""]
        assert tasks[3].cancelled()
        assert asked == [[0, 1, 2, 3], [0], [1], [2]]

    asyncio.run(ask())
