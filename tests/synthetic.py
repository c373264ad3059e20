"""Small made-up data for tests: the same that recdistill ships for contract tests."""

from __future__ import annotations

from recdistill.testing import contexts_of, tiny_split

__all__ = ["contexts_of", "tiny_split"]
