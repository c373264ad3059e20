"""Numbers as words: one way to write each kind of quantity, in page, terminal and sentence."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "INTERVAL",
    "NONE",
    "count",
    "duration",
    "latency",
    "metric",
    "number",
    "percent",
    "place",
    "points",
    "short_count",
    "shortened",
    "signed",
    "signed_percent",
    "size",
    "times",
    "together",
]

NONE = "–"
_FIXED = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that no line ends there."""
INTERVAL = f"95{_FIXED}% interval"
_ABOUT = {
    "head": "head items",
    "tail": "tail items",
    "cold": "cold items",
    "short": "short histories",
    "long": "long histories",
}


def metric(value: float | None) -> str:
    """A ranking metric: four decimals."""
    return NONE if value is None else f"{value:.4f}"


def signed(value: float) -> str:
    """A difference of a ranking metric: ``+0.0089``, ``−0.0003``."""
    return f"{value:+.4f}".replace("-", "−")


def count(value: int | None) -> str:
    """A whole number with separators."""
    return NONE if value is None else f"{value:,}"


def number(value: int) -> str:
    """A small whole number as it stands in a sentence."""
    return ("no", "one", "two", "three", "four", "five", "six")[value] if 0 <= value <= 6 else count(value)


def short_count(value: int | None) -> str:
    """A large number in three digits: ``312 k``, ``1.25 M``."""
    if value is None:
        return NONE
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor * 0.9995:
            return f"{_three(value / factor)}{_FIXED}{unit}"
    return str(value)


def shortened(text: str, most: int) -> str:
    """A text of at most so many letters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def size(value: float | None) -> str:
    """Bytes, decimal units: ``0.57 MB``."""
    if value is None:
        return NONE
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor * (0.1 if unit == "MB" else 1.0):
            return f"{_three(value / factor)}{_FIXED}{unit}"
    return f"{value:.0f}{_FIXED}B"


def latency(milliseconds: float | None) -> str:
    """``0.12 ms``."""
    return NONE if milliseconds is None else f"{_three(milliseconds)}{_FIXED}ms"


def percent(share: float | None, digits: int = 0) -> str:
    """``83 %``."""
    return NONE if share is None else f"{share * 100:.{digits}f}{_FIXED}%"


def signed_percent(share: float) -> str:
    """``+12.3 %`` or ``−0.4 %``, with a true minus."""
    text = f"{share * 100:+.1f}"
    return ("0.0" if float(text) == 0 else text.replace("-", "−")) + f"{_FIXED}%"


def points(difference: float, low: float, high: float) -> str:
    """A difference of two shares with its interval: ``+21.3 points, 95 % interval +19.0 to +23.5``."""
    mean, least, most = (f"{share * 100:+.1f}" for share in (difference, low, high))
    return f"{mean}{_FIXED}points, {INTERVAL} {least} to {most}".replace("-", "−")


def place(part: str) -> str:
    """Where: ``overall``, or ``on tail items`` for a slice."""
    return f"on {_ABOUT.get(part, part)}" if part else "overall"


def together(parts: Iterable[str]) -> str:
    """``a, b and c``."""
    *before, last = parts
    return f"{', '.join(before)} and {last}" if before else last


def times(ratio: float) -> str:
    """How many times: ``41``, ``2.5``."""
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.1f}"


def duration(seconds: float | None) -> str:
    """``0.8 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds is None:
        return NONE
    if seconds < 59.5:
        return f"{seconds:.1f}{_FIXED}s" if seconds < 9.95 else f"{seconds:.0f}{_FIXED}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{_FIXED}min {rest:02d}{_FIXED}s"
    return f"{minutes // 60}{_FIXED}h {minutes % 60:02d}{_FIXED}min"


def _three(value: float) -> str:
    """About three significant digits, without an exponent."""
    if value >= 99.5:
        return f"{value:,.0f}"
    if value >= 9.95:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"
