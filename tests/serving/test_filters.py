"""Filters: the same as a set of items, whatever way they are joined, written or asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.compression import write_bundle
from recdistill.errors import ConfigError
from recdistill.models.ease import EASE
from recdistill.serving import Bundle
from recdistill.serving.filters import AllOf, AnyOf, Attribute, Category, Filter, Items, Not, Rule, parse_filter
from recdistill.serving.shelf import Shelf
from tests.synthetic import tiny_split

SPLIT = tiny_split(n_users=50, n_items=40)
PRICE = np.where(np.arange(40) % 7 == 0, np.nan, np.arange(40) / 2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = write_bundle(EASE().build(SPLIT), SPLIT.dataset, tmp_path_factory.mktemp("b") / "bundle")
    bundle = Bundle.open(path)
    bundle.attach("price", PRICE)
    bundle.attach("stock", {"i3": 1, "i4": 0, "i5": 2, "nothing": 1})
    bundle.add_rule("odd", lambda shelf: np.arange(shelf.n_items) % 2 == 1)
    return bundle


IDS = st.sampled_from([f"i{at}" for at in range(40)] + ["unknown"])
BOUND = st.none() | st.floats(-1, 25)
LEAVES = st.one_of(
    st.lists(IDS, max_size=5).map(lambda ids: {"items": ids}),
    st.lists(st.sampled_from([f"topic {at}" for at in range(5)]), max_size=3).map(lambda names: {"category": names}),
    st.builds(lambda low, high: {"attribute": "price", "at_least": low, "at_most": high}, BOUND, BOUND),
    st.just({"attribute": "stock"}),
    st.just({"rule": "odd"}),
)
FILTERS = st.recursive(
    LEAVES,
    lambda part: st.one_of(
        st.lists(part, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(part, max_size=3).map(lambda parts: {"any": parts}),
        part.map(lambda one: {"not": one}),
    ),
    max_leaves=5,
)


def plain(wanted: dict[str, Any], at: int) -> bool:
    """What a filter says about one item, by its words."""
    match next((name, wanted[name]) for name in wanted if not name.startswith("at_")):
        case "all", parts:
            return all(plain(part, at) for part in parts)
        case "any", parts:
            return any(plain(part, at) for part in parts)
        case "not", part:
            return not plain(part, at)
        case "items", ids:
            return f"i{at}" in ids
        case "category", names:
            return f"topic {at * 5 // 40}" in names
        case "rule", "odd":
            return at % 2 == 1
        case "attribute", "stock":
            return at in (3, 5)
        case "attribute", "price":
            low, high = wanted["at_least"], wanted["at_most"]
            price = PRICE[at]
            bounded = (low is None or price >= low) and (high is None or price <= high)
            return bool(not np.isnan(price) and (bounded if low is not None or high is not None else price != 0))
    raise AssertionError(wanted)


@given(FILTERS)
def test_a_mask_says_of_each_item_what_the_words_say(bundle: Bundle, wanted: dict[str, Any]) -> None:
    parsed = parse_filter(json.loads(json.dumps(wanted)))
    expected = [plain(wanted, at) for at in range(40)]
    assert bundle.shelf.mask(parsed).tolist() == expected
    assert bundle.shelf.mask(~parsed).tolist() == [not may for may in expected]
    names = [found.item for found in bundle.recommend(["i1"], 40, where=parsed, exclude_history=False)]
    assert sorted(names) == sorted(f"i{at}" for at in range(40) if expected[at])


def test_operators_and_equal_filters_share_a_mask(bundle: Bundle) -> None:
    one, other = Items("i1", "i3") & Rule("odd") | ~Attribute("stock"), parse_filter(
        {"any": [{"all": [{"items": ["i1", "i3"]}, {"rule": "odd"}]}, {"not": {"attribute": "stock"}}]}
    )  # fmt: skip
    assert one == other == AnyOf((AllOf((Items("i1", "i3"), Rule("odd"))), Not(Attribute("stock"))))
    assert bundle.shelf.mask(one) is bundle.shelf.mask(other)
    with pytest.raises(ValueError, match="read-only"):
        bundle.shelf.mask(one)[0] = True


def test_what_is_attached_later_counts_at_once(bundle: Bundle) -> None:
    stock = Attribute("stock")
    assert bundle.shelf.mask(stock)[[3, 4, 5]].tolist() == [True, False, True]
    bundle.attach("stock", {"i3": 0, "i4": 7})
    assert bundle.shelf.mask(stock)[[3, 4, 5]].tolist() == [False, True, True]
    bundle.attach("stock", {"i3": 1, "i4": 0})


def test_every_question_takes_a_filter(bundle: Bundle) -> None:
    comedies = Category("topic 2")
    for found in (
        bundle.recommend([], 40, where=comedies),
        bundle.similar("i1", 40, where=comedies),
        bundle.popular(40, where=comedies),
        bundle.popular(40, where=comedies, trending=True),
        bundle.search("item", 40, where=comedies),
    ):
        assert {item.item for item in found} == {f"i{at}" for at in range(16, 24)}


def test_old_masks_make_room(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.serving.shelf._MASK_BYTES", 40 * 3)
    shelf = bundle.shelf
    first = shelf.mask(Items("i1"))
    for at in range(2, 5):
        shelf.mask(Items(f"i{at}"))
    assert shelf.mask(Items("i1")) is not first
    assert len(shelf._masks) == 3


def test_masks_of_long_lists_are_not_kept(bundle: Bundle) -> None:
    shelf, long = bundle.shelf, Items(*(f"i{at}" for at in range(65)))
    for wanted in (long, ~long, long & Items("i1"), Items("i1") | ~long):
        shelf.mask(wanted)
    assert {wanted.names_held for wanted in shelf._masks} == {1}
    for at in range(300):
        shelf.mask(Items(f"i{at}"))
    assert len(shelf._masks) == 256


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ([], "is no filter"),
        ({}, "no filter is called ''"),
        ({"categori": ["x"]}, "did you mean 'category'"),
        ({"items": ["i1"], "category": ["x"]}, r'put several filters into {"all"'),
        ({"category": ["x"], "at_least": 1}, "'at_least' stands beside 'category'"),
        ({"items": "i1"}, "takes a list of texts"),
        ({"items": [1]}, "takes a list of texts"),
        ({"all": ["i1"]}, "takes a list of filters"),
        ({"rule": 7}, "takes a name"),
        ({"attribute": "price", "at_least": "1"}, "takes a number"),
        ({"attribute": "price", "at_most": True}, "takes a number"),
        ({"attribute": "price", "at_most": float("nan")}, "takes a number"),
        ({"category": ["topic 9"]}, "did you mean 'topic"),
        ({"attribute": "prize"}, "did you mean 'price'"),
        ({"rule": "even"}, "known: odd"),
    ],
)
def test_what_is_no_filter_is_one_line(bundle: Bundle, wanted: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        bundle.popular(where=parse_filter(wanted))
    assert "\n" not in str(caught.value)


def test_filters_are_not_nested_without_end() -> None:
    wanted: Any = {"items": []}
    for _ in range(8):
        wanted = {"not": wanted}
    assert isinstance(parse_filter(wanted), Filter)
    with pytest.raises(ConfigError, match="nested more than 8 deep"):
        parse_filter({"all": [wanted]})


def test_rules_and_numbers_that_do_not_fit_are_refused(bundle: Bundle) -> None:
    def broken(shelf: Shelf) -> np.ndarray:
        return np.ones(shelf.n_items)

    bundle.add_rule("broken", broken)
    with pytest.raises(ConfigError, match=r"gave float64 \(40,\), not bool \(40,\)"):
        bundle.popular(where=Rule("broken"))
    with pytest.raises(ConfigError, match=r"\(3,\) values for 40 items"):
        bundle.attach("price", [1, 2, 3])


def test_without_categories_none_is_known(tmp_path: Path) -> None:
    from dataclasses import replace

    plain_items = replace(SPLIT.dataset.items, categories=None, titles=None)
    dataset = replace(SPLIT.dataset, items=plain_items)
    bundle = Bundle.open(write_bundle(EASE().build(SPLIT), dataset, tmp_path / "b"))
    with pytest.raises(ConfigError, match="no item has the category 'x'"):
        bundle.popular(where=Category("x"))
    assert [found.item for found in bundle.search("i7")] == ["i7"]
