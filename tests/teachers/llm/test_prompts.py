from __future__ import annotations

import re
from pathlib import Path

import pytest

from recdistill.errors import ConfigError
from recdistill.teachers.llm.prompts import LANGUAGES, Language, load_prompt, prompt_names
from recdistill.teachers.llm.reading import in_language
from recdistill.teachers.llm.tasks import TASKS


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", prompt_names())
def test_every_prompt_is_whole_in_both_languages(name: str, language: str) -> None:
    prompt = load_prompt(name, language)  # type: ignore[arg-type]
    other = load_prompt(name, "en" if language == "zh" else "zh")
    assert prompt.version >= 1
    assert prompt.about
    assert in_language(prompt.user, language)  # type: ignore[arg-type]
    assert (prompt.again == prompt.user) == bool(prompt.without)  # what is continued cannot be asked again
    assert prompt.digest != other.digest
    for part in ("system", "user", "again", "without"):
        first, second = (set(re.findall(r"\{(\w+)\}", getattr(p, part))) for p in (prompt, other))
        assert first == second


def test_every_task_that_asks_has_a_prompt() -> None:
    known = {"listwise-letter", "listwise-order"} | (set(TASKS) - {"listwise", "embedding"})
    ranks = {"listwise-letter", "listwise-order", "likelihood", "pairwise", "pointwise"}
    assert set(prompt_names()) == known | {f"{name}-otherwise" for name in ranks}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", [name for name in prompt_names() if name.endswith("-otherwise")])
def test_other_words_ask_for_the_same(name: str, language: Language) -> None:
    other, first = load_prompt(name, language), load_prompt(name.removesuffix("-otherwise"), language)
    other.check(set(re.findall(r"\{(\w+)\}", first.user)))
    assert other.user != first.user


def test_what_is_put_in_is_not_looked_into() -> None:
    prompt = load_prompt("pairwise")
    asked = prompt.messages(history="{first}", first="{second}", second="{nobody} {{}}")[-1]["content"]
    assert "{first}" in asked
    assert "A. {second}" in asked
    assert "B. {nobody} {{}}" in asked
    assert prompt.reminder(n="3") == prompt.again


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("version: 3\n--- user\nAfter {history}: {first} or {second}?\n", encoding="utf-8")
    prompt = load_prompt("pairwise", file=file)
    assert (prompt.name, prompt.version, prompt.system, prompt.again) == ("mine.txt", 3, "", prompt.user)
    assert [turn["role"] for turn in prompt.messages(history="x", first="a", second="b")] == ["user"]
    prompt.check({"history", "first", "second"})
    with pytest.raises(ConfigError, match=r"mine.txt: nobody puts in \{first\}; did you mean 'fist'"):
        prompt.check({"history", "fist", "second"})
    with pytest.raises(ConfigError, match=r"the question lacks \{third\}"):
        prompt.check({"history", "first", "second", "third"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("just a question", "is no prompt; it needs a line 'version: 1'"),
        ("version: one\n--- user\nhi", "is no prompt"),
        ("version: 1\n--- usr\nhi", "a prompt has no part 'usr'; did you mean 'user'"),
    ],
)
def test_files_that_are_no_prompts(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_prompt("x", file=tmp_path / "p.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prompt("x", file=tmp_path / "none.txt")
    with pytest.raises(ConfigError, match="no prompt is called 'pairwize'; did you mean 'pairwise'"):
        load_prompt("pairwize")
