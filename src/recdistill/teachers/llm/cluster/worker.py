"""A worker: asks the questions of a piece of work as one machine does, with journal and purse at the keeper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ....errors import RecdistillError
from ....registry import need
from ..backends.base import BackendConfig
from ..budget import Budget, BudgetSpent, Prices, Purse
from ..engine import Again, Engine, Questions, Stopped, new_runner
from ..exchange import Capabilities
from ..journal import Claim, Known, Outcome, Spent

__all__ = ["Asker", "Asking"]

Call = Callable[..., Any]
Piece = dict[str, npt.NDArray[np.int64]]


class Asking:
    """Asks some questions and says when they are done; what goes wrong for all is told to the keeper.

    Args:
        call: Calls a method of the :class:`~recdistill.teachers.llm.cluster.keeper.Keeper` and waits for its answer.
        questions: What is asked.
        backend: Which model, with the pace of one worker.
        again: What is asked again.
        capabilities: Of the model for which the questions were written.
        limited: Whether there is a budget.
    """

    def __init__(
        self, call: Call, questions: Questions, backend: BackendConfig, again: Again, capabilities: Capabilities,
        limited: bool,
    ) -> None:  # fmt: skip
        self._keeper, self._questions, self._limited = call, questions, limited
        self._backend, self._again, self._capabilities = backend, again, capabilities
        self._runner = new_runner()
        self._engine: Engine | None = None
        self._address: str | None = self._keeper("join")

    def __call__(self, piece: Piece) -> Piece:
        """Settle the questions ``number``, unless nothing more is to be asked."""
        while self._keeper("stopped") is None:
            try:
                self._runner.run(self._ask(piece["number"]))
                break
            except _Stopped:
                break
            except RecdistillError as error:
                self._recover(error)
        return piece

    async def _ask(self, numbers: npt.NDArray[np.int64]) -> None:
        if self._engine is None:
            opened = await self._backend.at_server(self._address).join(self._capabilities)
            purse = _Share(self._keeper) if self._limited else Purse(Budget(), Prices(), Spent())
            self._engine = Engine(
                self._questions, opened, _Elsewhere(self._keeper), purse, self._backend.pace, self._backend.patience,
                self._again,
            )  # fmt: skip
        await self._engine.run(numbers)

    def _recover(self, error: RecdistillError) -> None:
        """Ask another server, or see to it that nobody asks in vain."""
        self._leave()
        if isinstance(error, BudgetSpent) or self._address is None:
            self._keeper("stop", error)
        else:
            self._address = self._keeper("leave", self._address, error)

    def _leave(self) -> None:
        if self._engine is not None:
            self._runner.run(self._engine.backend.close())
            self._engine = None

    def close(self) -> None:
        """Let connections, memory and the loop go; a process that ends need not."""
        self._leave()
        self._runner.close()


class Asker(Asking):
    """The same in a process of Ray.

    Args:
        keeper: Handle of the keeper.
        questions: Reference of what is asked, in a list: it is fetched once.
        rest: As above.
    """

    def __init__(self, keeper: Any, questions: list[Any], **rest: Any) -> None:
        ray = need("ray", "ray")

        def call(method: str, *arguments: Any) -> Any:
            return ray.get(getattr(keeper, method).remote(*arguments))

        super().__init__(call, ray.get(questions[0]), **rest)


class _Stopped(Stopped):
    """The keeper lets nothing more be asked."""


class _Elsewhere:
    """The journal at the keeper; see :class:`~recdistill.teachers.llm.engine.Ledger`."""

    def __init__(self, keeper: Call) -> None:
        self._keeper = keeper

    def known(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        found: dict[bytes, Known] = self._keeper("known", keys)
        return found

    def read(self, keys: Sequence[bytes]) -> dict[bytes, Known]:
        found: dict[bytes, Known] = self._keeper("read", keys)
        return found

    def commit(
        self, claims: Sequence[tuple[bytes, int]] = (), outcomes: Sequence[Outcome] = (), seconds: float = 0.0
    ) -> list[Claim]:
        granted: list[Claim] | None = self._keeper("commit", claims, outcomes)
        if granted is None and claims:
            raise _Stopped("stopped")
        return granted or []

    def give_back(self, keys: Sequence[bytes]) -> None:
        if keys:
            self._keeper("give_back", keys)


class _Share(Purse):
    """The purse at the keeper, asked before every exchange."""

    def __init__(self, keeper: Call) -> None:
        super().__init__(Budget(), Prices(), Spent())
        self._keeper, self._limit, self._waiting = keeper, "", False

    @property
    def others(self) -> bool:
        return self._waiting

    def reserve(self, most: tuple[int, int]) -> bool:
        refused: tuple[str, bool] | None = self._keeper("reserve", most)
        self._limit, self._waiting = refused or ("", False)
        return refused is None

    def settle(self, most: tuple[int, int], tokens_in: int, tokens_out: int) -> None:
        self._keeper("settle", most, tokens_in, tokens_out)

    def forget(self, most: tuple[int, int]) -> None:
        self._keeper("forget", most)

    def exceeded_by(self, most: tuple[int, int]) -> str | None:
        return self._limit or None
