"""One thread and no time limit per example: the suite runs beside others, on few cores."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

from hypothesis import settings

settings.register_profile("recdistill", deadline=None)
settings.load_profile("recdistill")
