"""What all tasks share: parameters, and jobs of numbered questions that turn answers into a store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import Field

from ....config import Config
from ....data.dataset import Catalogue, Split
from ....errors import TeacherError
from ....knowledge import Knowledge
from ..exchange import Capabilities, Reply, Request
from ..prompts import Language, Prompt, load_prompt

__all__ = ["Answers", "ItemTexts", "Job", "Latest", "Place", "TaskConfig", "grouped"]

T = TypeVar("T")

Answers = Iterable[tuple[int, Reply | None]]
"""Number of each question, ascending, and its answer; None where there is none that can be read."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where answers become a store, and whose they are.

    Attributes:
        path: Directory below which the stores lie.
        teacher: The teacher's name.
        fingerprint: Hash over its parameters and its model.
    """

    path: Path
    teacher: str
    fingerprint: str


class TaskConfig(Config):
    """Parameters of a task."""

    prompt_name: ClassVar[str] = ""
    """Of the packaged prompt; the component's name if empty."""

    language: Language = Field("en", description="of the prompt, and of texts that are written")
    prompt: Path | None = Field(None, description="a prompt of your own; see recdistill prompts")
    item: Literal["title", "text"] = Field("title", description="what is said of an item")
    item_characters: int = Field(200, ge=10, description="characters of it at most; the rest is cut")

    def uses(self) -> tuple[str, ...]:
        """Names of the teachers whose knowledge it needs."""
        return ()

    def reads_log(self) -> bool:
        """Whether it looks at interactions, and not only at items."""
        return False

    def job(self, split: Split, knowledge: Knowledge, capabilities: Capabilities) -> Job:
        """Everything that is to be asked about a split.

        Args:
            split: The data.
            knowledge: Of the teachers that it uses.
            capabilities: What the model can do.

        Raises:
            TeacherError: The model or the data lack something that is needed.
            ConfigError: The prompt or a parameter does not fit.
        """
        raise TypeError(f"{type(self).__name__} is not a task")  # every subclass overrides this

    def load_prompt(self, name: str | None = None) -> Prompt:
        """The prompt in use."""
        return load_prompt(name or self.prompt_name or self.name, self.language, self.prompt)


class Job(ABC):
    """Numbered questions, each made from its number and what is known before the answer, and what answers become.

    Attributes:
        prompt: What they are made from.
        label: What is done, for the progress line.
    """

    prompt: Prompt
    label: str

    def reminder(self, number: int) -> str:
        """What is said to a model whose answer to a question could not be read."""
        return self.prompt.reminder()

    @abstractmethod
    def __len__(self) -> int:
        """Number of questions."""

    @abstractmethod
    def request(self, number: int) -> Request | None:
        """One question; None if there is nothing to ask about."""

    @abstractmethod
    def readable(self, number: int, reply: Reply) -> bool:
        """Whether an answer says what was asked for."""

    @abstractmethod
    def write(self, answers: Answers, place: Place) -> dict[str, Any]:
        """Turn the answers of all questions into sealed stores; equal answers give equal files.

        Returns:
            Facts for a report.
        """

    def chat(self, tokens: int, top: int = 0, json: bool = False, **values: str) -> Request:
        """The prompt with everything put in.

        Args:
            tokens: Of the answer at most.
            top: Log-probabilities wanted at each place.
            json: The server is asked to see to it that the answer is JSON.
            values: What is put in.
        """
        body: dict[str, Any] = {"messages": self.prompt.messages(**values), "max_tokens": tokens, "temperature": 0}
        if top:
            body |= {"logprobs": True, "top_logprobs": top}
        if json:
            body["response_format"] = {"type": "json_object"}
        return Request("chat", body, self.prompt.digest)


class Latest(Generic[T]):
    """The latest results of a function of a number.

    Questions about one history follow each other, and what a question showed is wanted again for its answer.

    Args:
        make: The function; a method of what keeps this, so that both go to another process together.
        most: Results that are kept.
    """

    def __init__(self, make: Callable[[int], T], most: int = 1024) -> None:
        self._make, self._most, self._made = make, most, dict[int, T]()

    def __call__(self, number: int) -> T:
        if number not in self._made:
            if len(self._made) >= self._most:
                del self._made[next(iter(self._made))]
            self._made[number] = self._make(number)
        return self._made[number]


class ItemTexts:
    """What is said of each item: on one line, cut, without characters that no text has.

    Args:
        catalogue: The items.
        task: Says what of an item is shown.

    Raises:
        TeacherError: No item has such a text.
    """

    def __init__(self, catalogue: Catalogue, task: TaskConfig) -> None:
        first, second = (catalogue.titles, catalogue.texts)[:: 1 if task.item == "title" else -1]
        texts = first if first is not None and any(text.strip() for text in first) else second
        if texts is None or not any(text.strip() for text in texts):
            hint = "give an item table with a title or text column"
            raise TeacherError("the items have no text that a language model could read", hint=hint)
        self._texts, self._most = texts, task.item_characters

    def __getitem__(self, item: int) -> str:
        """Of one item; empty if nothing is known of it."""
        return one_line(self._texts[item], self._most)

    def __len__(self) -> int:
        return len(self._texts)


def one_line(text: str, most: int) -> str:
    """A text on one line, cut to ``most`` characters; a line break could pass for part of the question."""
    if len(text) <= most and text.isprintable() and "  " not in text and text[:1] != " " != text[-1:]:
        return text  # as nearly all are
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def grouped(answers: Answers, size: int) -> Iterator[tuple[int, list[Reply | None]]]:
    """Answers of ``size`` consecutive questions together, with the number of their group."""
    group: list[Reply | None] = []
    for number, reply in answers:
        group.append(reply)
        if len(group) == size:
            yield number // size, group
            group = []


def batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of ``size`` values, the last one shorter."""
    batch: list[T] = []
    for value in values:
        batch.append(value)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
