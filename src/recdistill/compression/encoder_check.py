"""Does the ONNX encoder compute what the network computes?"""

from __future__ import annotations

import numpy as np

from ..data.dataset import Contexts
from ..errors import BundleError
from ..models.base import VectorModel
from ..serving.scorers import run_encoder, session
from .forms import Form
from .storage import EncoderForm

__all__ = ["encoder_error"]

_TOLERANCE: dict[EncoderForm, float] = {
    "float32": 1e-3, "float16": 1e-2, "int8": 1e-1, "int4": 1.0, "dynamic": 0.5, "static": 1.0,
}  # fmt: skip


def encoder_error(model: VectorModel, form: Form, users: Contexts, precision: EncoderForm) -> float:
    """Largest distance between the context vectors of graph and network, as a share of their length.

    Both read the same, uncompressed item vectors, so that only the graph is judged.

    Args:
        model: The network.
        form: With the graph.
        users: Whose histories are read.
        precision: How the graph's matrices are stored.

    Raises:
        BundleError: They are further apart than rounding explains: the graph does not describe this network.
    """
    assert form.encoder is not None
    expected = model.encode(users)
    got = run_encoder(session(form.encoder), model.item_vectors().__getitem__, users.history, form.max_length)
    apart = np.linalg.norm(got - expected, axis=1) / np.maximum(np.linalg.norm(expected, axis=1), 1e-6)
    worst = float(apart.max(initial=0.0))
    if not worst <= _TOLERANCE[precision]:
        raise BundleError(
            f"the {precision} encoder is {worst:.1%} away from the network",
            hint="write the bundle with vectors='float32'",
        )
    return worst
