"""The command line: one file per command, imported when it is called."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run ``recdistill`` with the arguments of the process; does not return."""
    from .app import app

    app(prog_name="recdistill")
