"""Pictures as a bundle holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recdistill.errors import BundleError
from recdistill.serving.pictures import ENDS, FILE, Pictures, kind_of
from recdistill.serving.place import Place
from tests.pictures import png


def test_the_first_bytes_say_what_it_is() -> None:
    assert kind_of(png()) == "image/png"
    assert kind_of(b"\xff\xd8\xff\xe0 and more") == "image/jpeg"
    assert kind_of(b"GIF89a and more") == "image/gif"
    assert kind_of(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert kind_of(b"\0\0\0\x20ftypavif") == "image/avif"
    for other in (b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"RIFF\0\0\0\0WAVE", b"<html>"):
        assert kind_of(other) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    Pictures.write(tmp_path, [png(1), b"", png(2)])
    found = Pictures.open(Place.open(tmp_path), 3)
    assert found is not None
    assert [found.of(at) for at in (-1, 0, 1, 2, 3)] == [
        None, ("image/png", png(1)), None, ("image/png", png(2)), None,
    ]  # fmt: skip
    assert Pictures.open(Place.open(tmp_path.parent), 3) is None


@pytest.mark.parametrize("ends", [[0, 1, 2], [1, 50, 60, 73], [0, 60, 50, 73], [0, 1, 2, 3]])
def test_files_that_do_not_fit_each_other(tmp_path: Path, ends: list[int]) -> None:
    Pictures.write(tmp_path, [png(), b"", b""])
    assert (tmp_path / FILE).stat().st_size > 60
    np.save(tmp_path / ENDS, np.array(ends, dtype=np.int64))
    with pytest.raises(BundleError, match=r"pictures\.npy"):
        Pictures.open(Place.open(tmp_path), 3)
