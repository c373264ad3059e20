"""Every built-in objective that is taught keeps the contract that plugins inherit."""

from __future__ import annotations

from recdistill.models import MF
from recdistill.objectives import OBJECTIVES
from recdistill.testing import ObjectiveContract

_WITH_OTHERS = {"auto", "several-teachers"}
"""What is replaced by other terms, and what wants more than one teacher."""

for _name in OBJECTIVES:
    _config = OBJECTIVES[_name].load()
    if _name not in _WITH_OTHERS and _config().is_taught:
        _class = f"Test{_config.__name__}"
        globals()[_class] = type(_class, (ObjectiveContract,), {"config": _config(), "__module__": __name__})


class TestSoftLabelsOfUsers(ObjectiveContract):
    config = OBJECTIVES["soft-labels"].load()()
    student = MF(dim=4)
