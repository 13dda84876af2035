"""What a notebook shows, without a notebook: IPython only calls methods and ``display``."""

from __future__ import annotations

import html
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analysis.notebook import in_notebook
from analysis.overview import df_overview, headline, plot_overview
from analysis.results import Result, read_result
from scenarios.open import open_scenario
from sim.cli import main
from sim.experiments.runs import run_scenario


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    out = tmp_path_factory.mktemp("notebook") / "a <b>"
    assert main(["run", "null-syscall", "--out", str(out), "--quiet", "--csv"]) == 0
    return read_result(out)


def test_a_result_says_what_it_is(result: Result) -> None:
    assert repr(result) == f"<Result of {headline(result.summary)}; in {str(result.path)!r}>"
    page = result._repr_html_()
    assert html.escape(headline(result.summary)) in page
    assert "data:image/png;base64,iVBORw" in page
    assert "a &lt;b&gt;" in page
    assert "<b>" not in page.replace(f"<b>{html.escape(headline(result.summary))}</b>", "")
    frame = df_overview(result.summary)
    for cause in frame[frame["points"].abs() >= 0.01]["cause"]:
        assert f"<td>{cause}</td>" in page


def test_figures_show_themselves(result: Result) -> None:
    picture: Any = plot_overview(result.summary)
    assert picture._repr_png_().startswith(b"\x89PNG")


def test_frames_are_there_as_csv(result: Result, tmp_path: Path) -> None:
    names = [path.stem for path in sorted(result.path.glob("*.csv"))]
    assert names == result.frames()
    for name in names:
        text = pd.read_csv(result.path / f"{name}.csv", keep_default_na=False)
        pd.testing.assert_frame_equal(text, result.frame(name), check_dtype=False)
    assert main(["run", "null-syscall", "--out", str(result.path), "--quiet"]) == 0
    assert list(result.path.glob("*.csv")) == []  # they were of an earlier result


def test_progress_shows_below_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    shell = type("ZMQInteractiveShell", (), {})()
    ipython.get_ipython = lambda: shell  # type: ignore[attr-defined]
    display.HTML = str  # type: ignore[attr-defined]
    display.display = lambda *_, **__: SimpleNamespace(update=shown.append)  # type: ignore[attr-defined]
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert in_notebook()
    run_scenario(open_scenario("null-syscall"), tmp_path / "r")
    assert "baseline" in shown[0]
    assert shown[-1].count("100 %") == 2
    assert len(shown) <= 2 * 102
