"""A language model that is asked about users and items: tasks, candidates, prompts, backends, and the journal.

What is asked is a *task* (``tasks``), made of numbered questions from versioned ``prompts``, about ``candidates`` that
are drawn from histories. A *backend* answers; the *engine* asks many questions at once and keeps every answer in the
*journal*, from which the task's stores are made. A *selector* may choose, round by round, which contexts are asked
about.
"""

from __future__ import annotations

from .backends import BACKENDS
from .candidates import CANDIDATES
from .selectors import SELECTORS
from .tasks import TASKS

__all__ = ["BACKENDS", "CANDIDATES", "SELECTORS", "TASKS"]
