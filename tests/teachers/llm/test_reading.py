from __future__ import annotations

import math
import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.teachers.llm.exchange import Reply
from recdistill.teachers.llm.reading import LETTERS, choice_of, declines, in_language, json_of, order_of


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"), (" B.", "B"), ("(B)", "B"), ("**B**", "B"), ("B. The Matrix", "B"), ("B\nbecause", "B"),
        ("The answer is B.", "B"), ("我选择B。", "B"), ("答案：Ｂ", "B"), ("<think>A or C?</think>\nB", "B"),
        ("I would choose B", "B"), ("A film like B", "B"), ("Answer: B) The Matrix", "B"),
        ("B or C", None), ("Z", None), ("", None), ("The Matrix", None), ("b", None), ("A great film", None),
        ("<think>It is B", None), ("Because", None), ("我不知道", None), ("{}", None), ("[3]", None),
    ],
)  # fmt: skip
def test_a_letter_in_a_text(text: str, letter: str | None) -> None:
    found = choice_of(Reply(text), LETTERS[:4])
    if letter is None:
        assert found is None
    else:
        assert found is not None
        assert LETTERS[int(found[0].argmax())] == letter
        assert math.isclose(float(np.exp(found[0]).sum()), 1.0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I'm sorry, but I can't help with that.", True), ("I cannot rank these.", True), ("Sorry, I won't.", True),
        ("As an AI language model, I am unable to judge taste", True), ("I’m afraid I can’t do that", True),
        ("<think>hm</think> I must decline.", True), ("I apologize, but I am not able to assist", True),
        ("很抱歉，我无法回答这个问题。", True), ("对不起，这个不能回答", True), ("我无法排序", True),
        ("作为一个人工智能助手，我不会评价", True),
        ("", False), ("B", False), ("well", False), ("I don't know", False), ("The answer: I cannot tell", False),
        ("Sorry about that! B > A", False), ("我不知道", False), ("这部电影不能错过", False), ("An AI film", False),
    ],
)  # fmt: skip
def test_who_declines(text: str, wanted: bool) -> None:
    assert declines(text) is wanted


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Yes", 0), ("yes.", 0), ("No", 1), ("No, because they say yes to comedies", 1), ("是", None), ("Maybe", None),
        ("Nobody knows", None), ("Yes or no", 0), ("I think yes and no", None), ("", None), ("Not yes", None),
        ("I cannot say yes", None), ("I don't think it is a yes", None), ("Not sure, but yes", 0), ("**No**", 1),
    ],
)  # fmt: skip
def test_yes_and_no(text: str, word: int | None) -> None:
    found = choice_of(Reply(text), ("Yes", "No"))
    assert (None if found is None else int(found[0].argmax())) == word


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("是", 0), ("是的，他会喜欢。", 0), ("否", 1), ("“否”", 1), ("不是", 1), ("不会。", 1), ("不会选择这部", 1),
        ("会选择", 0),
        ("答案：是", 0), ("答案是：否", 1), ("不", 1), ("我不知道", None), ("这是一部电影", None), ("不知道", None),
        ("是否喜欢很难说", None), ("<think>是</think>否", 1),
    ],
)  # fmt: skip
def test_yes_and_no_in_chinese(text: str, word: int | None) -> None:
    found = choice_of(Reply(text), ("是", "否"))
    assert (None if found is None else int(found[0].argmax())) == word


def test_chinese_words() -> None:
    assert choice_of(Reply("是的"), ("是", "否")) is not None
    top = [[("是", -0.2), ("否", -2.0), ("不", -3.0)]]
    found = choice_of(Reply("是", top), ("是", "否"))
    assert found is not None
    np.testing.assert_allclose(np.exp(found[0]), np.exp([-0.2, -2.0]) / np.exp([-0.2, -2.0]).sum())


def test_log_probabilities_of_all_spellings_count_together() -> None:
    top = [[(" B", -1.0), ("B", -1.5), ("A", -2.0), ("(A", -2.5), ("The", -3.0), ("a", -4.0)]]
    found = choice_of(Reply("B", top), "ABC")
    assert found is not None
    b, a = math.exp(-1.0) + math.exp(-1.5), math.exp(-2.0) + math.exp(-2.5)
    c = math.exp(-4.0) / 2
    np.testing.assert_allclose(np.exp(found[0]), np.array([a, b, c]) / (a + b + c))
    assert math.isclose(found[1], a + b)


def test_brackets_before_the_letter_are_passed_over() -> None:
    top = [[("(", -0.1), ("A", -3.0)], [("C", -0.2), ("A", -2.0)]]
    found = choice_of(Reply("(C", top), "ABC")
    assert found is not None
    assert int(found[0].argmax()) == 2


def test_a_first_token_that_is_no_letter_leaves_the_text() -> None:
    top = [[("The", -0.1), ("Well", -3.0)]]
    found = choice_of(Reply("The answer is C", top), "ABC")
    assert found is not None
    assert found[1] == 0.5
    assert choice_of(Reply("The Matrix", top), "ABC") is None


@pytest.mark.parametrize(
    ("text", "order", "named"),
    [
        ("B > A > C", [1, 0, 2], 3), ("B>C>A", [1, 2, 0], 3), ("[B] > [A]", [1, 0, 2], 2), ("C", [2, 0, 1], 1),
        ("B, C, A", [1, 2, 0], 3), ("1. C\n2. A\n3. B", [2, 0, 1], 3), ("B > B > Z > A", [1, 0, 2], 2),
        ("A good order is: C > A > B", [2, 0, 1], 3), ("我的排序是：Ｃ＞Ａ＞Ｂ。", [2, 0, 1], 3),
        ("<think>A > B</think>C > B > A", [2, 1, 0], 3), ("C、A、B", [2, 0, 1], 3), ("B > A > C > D > E", [1, 0, 2], 3),
    ],
)  # fmt: skip
def test_orders(text: str, order: list[int], named: int) -> None:
    assert order_of(text, 3) == (order, named)


@pytest.mark.parametrize(
    ("text", "order", "named"),
    [
        ("B. A Beautiful Mind\nC. Heat\nA. Casino", [1, 2, 0], 3),
        ("1. B. A Beautiful Mind\n2. C) Heat\n3. A: I, Robot", [1, 2, 0], 3),
        ("**C** - Vitamin C\n**A** - Plan B\n**B** - I", [2, 0, 1], 3),
        ("I think C is best, then B and A.", [2, 1, 0], 3),
        ("B. A Beautiful Mind", [1, 0, 2], 1),
        ("well, A > B ... </think>C > B > A", [2, 1, 0], 3),
    ],
)
def test_orders_beside_titles_and_words(text: str, order: list[int], named: int) -> None:
    found = order_of(text, 12 if text.startswith("I") else 3)
    assert found is None if text == "B. A Beautiful Mind" else found is not None
    assert found is None or (found[0][:3], found[1]) == (order, named)


def test_thoughts_whose_beginning_is_missing_are_no_answer() -> None:
    found = choice_of(Reply("It may be A, or B.\n</think>\n\nC"), "ABC")
    assert found is not None
    assert int(found[0].argmax()) == 2
    assert json_of('{"a": "x"}</think>{"a": "y"}', {"a": str}) == {"a": "y"}


@pytest.mark.parametrize(
    "text", ["", "A film I like", "The Matrix > Heat", "X > Y > Z", "抱歉，我不知道", "12 > 3 > 4"]
)
def test_no_order(text: str) -> None:
    assert order_of(text, 3) is None


@given(st.permutations(range(12)), st.sampled_from([" > ", ">", ", ", "\n", " → "]))
def test_every_order_is_read_back(order: list[int], between: str) -> None:
    assert order_of(between.join(LETTERS[number] for number in order), 12) == (order, 12)


@given(st.text(string.ascii_letters + " >,\n[]().*0123456789。是", max_size=60), st.integers(2, 26))
def test_whatever_is_said_an_order_is_a_permutation(text: str, n: int) -> None:
    found = order_of(text, n)
    if found is not None:
        assert sorted(found[0]) == list(range(n))
        assert 1 <= found[1] <= n


@given(st.text(max_size=80), st.lists(st.tuples(st.text(max_size=3), st.floats(-30, 0)), max_size=20))
def test_whatever_is_said_a_choice_sums_to_one(text: str, top: list[tuple[str, float]]) -> None:
    found = choice_of(Reply(text, [top] if top else []), "ABCD")
    if found is not None:
        assert math.isclose(float(np.exp(found[0]).sum()), 1.0, rel_tol=1e-9)
        assert 0 <= found[1] <= 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "x", "b": ["y"]}', True), ('```json\n{"a": "x", "b": []}\n```', True),
        ('Sure! {"a":"x","b":[1]} ok', True),
        ('{"a": "x", "b": ["y"', False), ('{"a": "x"}', False), ('{"a": 3, "b": []}', False), ("", False),
        ('{"a": "", "b": []}', False), ("[1]", False), ("{" * 5000, False),
    ],
)  # fmt: skip
def test_json(text: str, found: bool) -> None:
    value = json_of(text, {"a": str, "b": list})
    assert (value is not None) is found
    assert value is None or set(value) == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "english", "chinese"),
    [
        ("A calm film.", True, False),
        ("一部安静的电影", False, True),
        ("《Heat》是一部犯罪电影", False, True),
        ("123", False, False),
    ],
)
def test_languages(text: str, english: bool, chinese: bool) -> None:
    assert in_language(text, "en") is english
    assert in_language(text, "zh") is chinese


def test_a_key_that_may_be_null_may_not_be_missing() -> None:
    wanted = {"genre": (str, type(None)), "mood": (str, type(None))}
    assert json_of('{"genre": "drama", "mood": null}', wanted) == {"genre": "drama", "mood": None}
    assert json_of('{"genre": "drama"}', wanted) is None
