"""Asking on several machines: questions are handed out by Ray Data, every answer goes to one journal at once.

A worker asks as a single machine does, with the same engine. Only its journal and its purse are elsewhere: with the
*keeper*, an actor beside the process that runs the recipe. An answer that a worker has had is sent there before more
is asked, not kept until a piece of work is done. So when a machine dies, nothing is asked again but what was under way
on it, and the journal is the same file with the same rules as on one machine.
"""

from __future__ import annotations

from .driver import ask_on, meet_on

__all__ = ["ask_on", "meet_on"]
