"""What all commands share: help, version, errors and their exit codes, logging."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from recdistill import __version__
from recdistill.cli.app import COMMANDS
from recdistill.cli.guard import guarded
from recdistill.cli.output import start_logging
from recdistill.errors import DataError

from .conftest import Invoke


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def one_command(error: BaseException) -> typer.Typer:
    """An application whose only command raises."""
    single = typer.Typer(pretty_exceptions_enable=False)

    def fail() -> None:
        raise error

    single.command()(guarded(fail))
    return single


def test_help_lists_every_command(call: Invoke) -> None:
    result = call("--help")
    assert result.exit_code == 0
    assert all(f" {name} " in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(call: Invoke, name: str) -> None:
    result = call(name, "-h")
    assert result.exit_code == 0
    assert f"Usage: recdistill {name}" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['recdistill', '--help']\ntry:\n    from recdistill.cli import main; main()\n"
    done = python(code + "finally:\n    print(*sys.modules)")
    assert not {"torch", "polars", "numpy", "pydantic", "yaml"} & set(done.stdout.split())


def test_version(call: Invoke) -> None:
    assert call("--version").stdout == f"recdistill {__version__}\n"


def test_unknown_command_is_a_usage_error(call: Invoke) -> None:
    result = call("runn", "x.yaml")
    assert result.exit_code == 2
    assert "runn" in result.stderr


def test_verbose_and_quiet_contradict(call: Invoke) -> None:
    assert call("-v", "-q", "components").exit_code == 2


def test_known_error_is_one_line_and_exit_code_2() -> None:
    result = CliRunner().invoke(one_command(DataError("no\nrows", where="x.csv", hint="add some")), [])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "error: x.csv: no rows; add some\n")


def test_unexpected_error_says_how_to_see_the_traceback() -> None:
    result = CliRunner().invoke(one_command(ZeroDivisionError("oh")), [])
    assert result.exit_code == 1
    assert result.stderr == "error: unexpected ZeroDivisionError: oh; set RECDISTILL_DEBUG=1 to see the traceback\n"


def test_debug_lets_errors_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECDISTILL_DEBUG", "1")
    assert isinstance(CliRunner().invoke(one_command(DataError("no rows")), []).exception, DataError)


def test_interrupt_says_that_it_goes_on() -> None:
    result = CliRunner().invoke(one_command(KeyboardInterrupt()), [])
    assert result.exit_code == 130
    assert "goes on from there" in result.stderr


def test_plain_log_lines(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(0)
    log = logging.getLogger("recdistill")
    log.info("%s took %d s", "data", 1)
    log.debug("not shown")
    log.warning("left out %d rows", 3)
    assert capsys.readouterr().err == "data took 1 s\nwarning: left out 3 rows\n"


def test_a_stderr_that_was_lent_to_a_command_is_not_written_to_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", lent)
        start_logging(0)
    lent.close()
    logging.getLogger("recdistill").info("still heard")
    assert capsys.readouterr().err == "still heard\n"


def test_log_lines_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    start_logging(-1)
    logging.getLogger("recdistill").info("not shown")
    logging.getLogger("recdistill").warning("shown [as it is]")
    assert "shown [as it is]" in capsys.readouterr().err


def test_components(call: Invoke) -> None:
    result = call("components")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("sasrec", "SASRec", "soft-labels", "leave-last-out", "text-encoder"))
    assert "sasrec" in call("components", "models").stdout
    assert "soft-labels" not in call("components", "models").stdout


def test_components_as_json(call: Invoke) -> None:
    tables = json.loads(call("components", "--json").stdout)
    assert {"name", "class", "extra", "summary"} == set(tables["models"][0])


def test_unknown_kind_of_component(call: Invoke) -> None:
    result = call("components", "modles")
    assert result.exit_code == 2
    assert "did you mean 'models'?" in result.stderr


def test_console_script_ends_with_the_code(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['recdistill', 'run', 'nowhere.yaml']\nfrom recdistill.cli import main; main()"
    done = python(code)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere.yaml: no such recipe")
    assert "Traceback" not in done.stderr


def test_closed_pipe_is_quiet() -> None:
    code = "import sys; sys.argv = ['recdistill', 'components']\nfrom recdistill.cli import main; main()"
    command = f'"{sys.executable}" -c "{code}" | head -1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recdistill", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"recdistill {__version__}")
