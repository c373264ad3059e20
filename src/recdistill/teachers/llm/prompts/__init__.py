"""The prompts: a file for each task and language, with a version; what a model is asked is never hidden in code."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from ....errors import ConfigError, nearest

__all__ = ["LANGUAGES", "Language", "Prompt", "load_prompt", "prompt_names"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

_PARTS = ("system", "user", "again", "without")
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template of a question.

    Attributes:
        name: Of the task or the file.
        version: Raised when its words change.
        about: What it asks for, in a line.
        system: What the model is told first; may be empty.
        user: The question, with ``{names}`` where something is put in.
        again: What is said when an answer could not be read.
        digest: Hash over all of it: 16 hex digits.
        without: Of a text that is continued, what it is without a history; may be empty.
        joined: Of such a text, what stands between the titles of a history.
    """

    name: str
    version: int
    about: str
    system: str
    user: str
    again: str
    digest: str
    without: str = ""
    joined: str = "\n"

    def messages(self, **values: str) -> list[dict[str, str]]:
        """The question with everything put in; what is put in is not looked into again."""
        asked = {"role": "user", "content": _filled(self.user, values)}
        return [{"role": "system", "content": _filled(self.system, values)}, asked] if self.system else [asked]

    def reminder(self, **values: str) -> str:
        """What is said when an answer could not be read."""
        return _filled(self.again, values)

    @staticmethod
    def filled(template: str, **values: str) -> str:
        """A part of it with everything put in."""
        return _filled(template, values)

    def check(self, wanted: set[str]) -> None:
        """See that the template asks about what it should.

        Raises:
            ConfigError: Something is missing in it, or nobody knows what to put in.
        """
        found = set(_PLACE.findall(self.user))
        for name in sorted(found - wanted):
            raise ConfigError(f"nobody puts in {{{name}}}", where=self.name, hint=nearest(name, wanted))
        for name in sorted(wanted - found - {"n"}):
            raise ConfigError(f"the question lacks {{{name}}}", where=self.name)


def load_prompt(name: str, language: Language = "en", file: Path | None = None) -> Prompt:
    """A prompt of this package, or of a file in the same form.

    Raises:
        ConfigError: There is none of that name, or the file has another form; what it lacks is named.
    """
    if file is None:
        if name not in prompt_names():
            raise ConfigError(f"no prompt is called {name!r}", hint=nearest(name, prompt_names()))
        return _packaged(name, language)
    try:
        return _parse(file.name, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read ({error})", where=file) from None


@cache
def prompt_names() -> tuple[str, ...]:
    """Names of the prompts of this package."""
    found = (file.name.split(".") for file in files(__name__).iterdir() if file.name.endswith(".txt"))
    return tuple(sorted({parts[0] for parts in found}))


@cache
def _packaged(name: str, language: Language) -> Prompt:
    return _parse(name, (files(__name__) / f"{name}.{language}.txt").read_text(encoding="utf-8"))


def _parse(name: str, text: str) -> Prompt:
    head, *rest = re.split(r"^--- (\w+)[ \t]*$", text, flags=re.MULTILINE)
    parts = {key: body.strip() for key, body in zip(rest[::2], rest[1::2], strict=True)}
    facts = dict(line.partition(": ")[::2] for line in head.splitlines() if ": " in line)
    for key in parts:
        if key not in _PARTS:
            raise ConfigError(f"a prompt has no part {key!r}", where=name, hint=nearest(key, _PARTS))
    if not parts.get("user") or not facts.get("version", "").isdecimal():
        raise ConfigError(
            "is no prompt", where=name, hint="it needs a line 'version: 1', then '--- user' and the question"
        )
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    system, user, again, without = (parts.get(key, "") for key in _PARTS)
    about, joined = facts.get("about", ""), facts.get("joined", "\n")
    joined = joined.removeprefix('"').removesuffix('"')
    return Prompt(name, int(facts["version"]), about, system, user, again or user, digest, without, joined)


def _filled(template: str, values: dict[str, str]) -> str:
    return _PLACE.sub(lambda found: values.get(found[1], found[0]), template)
