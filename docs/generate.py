"""Write the pages that are made from code and results; ``--check`` only says which are out of date.

python docs/generate.py                     # reference pages, benchmarks
python docs/generate.py --check
python docs/generate.py --demo runs/demo    # also the demo's output in both READMEs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

from generators import added, benchmarks, choosing, commands, components, demo, methods, recipe  # noqa: E402

GUIDE = ROOT / "docs/choosing.md"
LANGUAGE_MODELS = ROOT / "docs/language-models.md"
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")


def pages() -> dict[Path, str]:
    """Every generated page, by path."""
    return {
        ROOT / "docs/reference/recipe.md": recipe.page(),
        ROOT / "docs/reference/components.md": components.page(),
        ROOT / "docs/reference/cli.md": commands.page(),
        GUIDE: choosing.page(GUIDE.read_text(encoding="utf-8"), ROOT / "benchmarks/results/quality"),
        LANGUAGE_MODELS: added.page(LANGUAGE_MODELS.read_text(encoding="utf-8"), ROOT / "benchmarks/results"),
        ROOT / "docs/methods.md": methods.page(ROOT / "benchmarks/results/quality"),
        ROOT / "docs/benchmarks.md": benchmarks.page(ROOT / "benchmarks/results"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if a page is out of date")
    parser.add_argument("--demo", type=Path, metavar="RUN", help="put this run's results into the READMEs")
    options = parser.parse_args(arguments)
    wanted = pages()
    if options.demo is not None:
        wanted |= {path: demo.fill(path.read_text(encoding="utf-8"), options.demo) for path in READMES}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        sys.stdout.write(f"{'out of date' if options.check else 'wrote'}: {path.relative_to(ROOT)}\n")
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
