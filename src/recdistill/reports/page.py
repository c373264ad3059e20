"""The report as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..compression.outcome import Outcome
from ..evaluation.audited import Audited
from ..files import write_text
from ..registry import need
from . import words
from .arrived import arrived_notes
from .asked import HEADS, asked_lines
from .audit import audit_table
from .charts import charts_of
from .choice import choice_note, choice_table
from .compression import compression_table
from .figures import PATHS
from .for_whom import slice_table
from .item_map import item_map_notes
from .results import ReportData
from .rounds import rounds_tables
from .table import comparison_table
from .verdict import judge
from .winners import winners_notes

__all__ = ["refresh_run_report", "render_report", "write_report", "write_run_report"]

_HERE = Path(__file__).parent
_FILTERS: dict[str, Callable[..., str]] = {
    "count": words.count,
    "duration": words.duration,
    "metric": words.metric,
    "percent": words.percent,
    "signed": words.signed,
}


def write_run_report(run: Path, path: Path | None = None) -> ReportData:
    """Write the page of a run from all that was found out about it: results, compression, audits.

    Args:
        run: The run directory.
        path: The HTML file; ``report.html`` of the run if None.

    Returns:
        The results.

    Raises:
        RunError: There are no results, or a file is of another version.
        MissingExtraError: The extra ``report`` is not installed.
    """
    data = ReportData.read(run / "results.json")
    write_report(data, path or run / "report.html", Outcome.beside(run), Audited.of_run(run))
    return data


def refresh_run_report(run: Path) -> None:
    """Write the page of a run again, if it has one: something more was found out."""
    if (run / "report.html").exists() and (run / "results.json").exists():
        write_run_report(run)


def write_report(
    data: ReportData, path: str | Path, compression: Outcome | None = None, audits: Sequence[Audited] = ()
) -> Path:
    """Write the page, atomically.

    Args:
        data: Results of a run; ``ReportData.read("results.json")`` reads them back.
        path: The HTML file, or a directory that gets ``report.html``.
        compression: What a chain of compression found, if there was one; becomes a section.
        audits: Of teachers; become a section.

    Returns:
        The path of the file.

    Raises:
        MissingExtraError: The extra ``report`` is not installed.
    """
    path = Path(path)
    target = path / "report.html" if path.is_dir() else path
    write_text(target, render_report(data, compression, audits))
    return target


def render_report(data: ReportData, compression: Outcome | None = None, audits: Sequence[Audited] = ()) -> str:
    """The page as text."""
    jinja = need("jinja2", "report")
    loader = jinja.FileSystemLoader(_HERE)
    environment = jinja.Environment(
        loader=loader, autoescape=True, undefined=jinja.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(_FILTERS)
    text: str = environment.get_template("page.html.j2").render(
        data=data,
        verdict=judge(data),
        table=comparison_table(data),
        charts=charts_of(data),
        shapes=PATHS,
        by_slice=slice_table(data),
        meanings={part.name: part.meaning for part in data.slices},
        choice=choice_table(data),
        choice_note=choice_note(data),
        asked=asked_lines(data),
        asked_heads=HEADS,
        rounds=rounds_tables(data),
        notes={"arrived": arrived_notes(data), "slices": winners_notes(data), "map": item_map_notes(data)},
        audits=[audit_table(one) for one in audits],
        compression=None if compression is None else compression_table(compression),
        style=(_HERE / "style.css").read_text(encoding="utf-8"),
        total=sum(stage.seconds for stage in data.stages if not stage.cached),
        longest=max((stage.seconds for stage in data.stages), default=0.0) or 1.0,
    )
    return text
