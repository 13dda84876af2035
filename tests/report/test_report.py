"""The report: what it says, that it needs nothing else, and how it looks in a browser."""

from __future__ import annotations

import html
import io
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from analysis.rates import rates
from analysis.report import make_report, report_html, write_report
from analysis.report.blocks import Code, Facts, Grid, Numbers, Picture, Text, beginning
from analysis.results import read_result
from sim.cli import main
from sim.errors import InputError
from tests.report.browser import browser, shoot, show

PHONE, DESK = (390, 844), (1280, 900)
ALWAYS = {"question", "set-up", "headline", "charts", "ledger", "counters", "validation", "repeat", "assumptions"}


def section(folder: Path, name: str, **options: Path) -> list[object]:
    """The blocks of one section."""
    return list(next(s.blocks for s in make_report(folder, **options).sections if s.name == name))


def words(blocks: list[object]) -> str:
    """All text of some blocks."""
    parts: list[str] = []
    for block in blocks:
        if isinstance(block, Text | Code):
            parts.append(block.text)
        elif isinstance(block, Grid):
            parts += [" ".join(row) for row in (block.columns, *block.rows)]
    return "\n".join(parts)


@pytest.mark.parametrize("kind", ["run", "sweep", "check", "recording"])
def test_every_section_is_there_and_nothing_comes_from_elsewhere(folders: dict[str, Path], kind: str) -> None:
    report = make_report(folders[kind])
    names = {s.name for s in report.sections}
    assert names >= ALWAYS
    assert all(s.blocks for s in report.sections)
    page = report_html(report)
    assert page == report_html(make_report(folders[kind]))
    for name in names:
        assert f'<section id="{name}">' in page
        assert f'href="#{name}"' in page
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("data:", "#"))
    for word in ("<script", "@import", "url(", "<iframe", "<object"):
        assert word not in page
    pictures = [b for s in report.sections for b in s.blocks if isinstance(b, Picture)]
    assert page.count("<img ") == len(pictures) >= 2
    assert all(picture.says for picture in pictures)


def test_names_of_users_are_set_as_text(folders: dict[str, Path]) -> None:
    page = report_html(make_report(folders["recording"]))
    assert html.escape("my <program> & co") in page
    assert "<program>" not in page


def test_the_numbers_are_those_of_the_summary(folders: dict[str, Path]) -> None:
    summary = read_result(folders["run"]).summary
    assert f"takes {abs(summary['overhead_percent']):.1f} %" in words(section(folders["run"], "headline"))
    (ledger,) = (b for b in section(folders["run"], "ledger") if isinstance(b, Grid))
    assert ledger.rows[-1][0] == "all"
    assert ledger.rows[-1][2] == f"{summary['overhead_percent']:+.2f} %"
    causes = {e["cause"] for e in summary["ledger"] if e["baseline_cycles"] or e["profile_cycles"]} - {"idle"}
    assert {row[0] for row in ledger.rows} == causes | {"all"}
    (counters,) = (b for b in section(folders["run"], "counters") if isinstance(b, Grid))
    assert {row[0]: row[2] for row in counters.rows}["syscalls"] == f"{summary['counters']['syscalls']:,}"
    own = words(section(folders["recording"], "assumptions"))
    recorded = read_result(folders["recording"]).summary["recorded"]
    assert f"context switches {recorded['context_switches']:,}" in own


def test_the_command_repeats_the_result(folders: dict[str, Path], tmp_path: Path) -> None:
    text = words([b for b in section(folders["recording"], "repeat") if isinstance(b, Code)])
    command = shlex.split(text)
    assert command[:3] == ["svs-sim", "run", "my <program> & co.txt.gz"]
    command[2] = str(folders["recording"].parent / command[2])
    command[command.index("--out") + 1] = str(tmp_path / "again")
    assert main([*command[1:], "--quiet"]) == 0
    summary = (folders["recording"] / "summary.json").read_bytes()
    assert (tmp_path / "again" / "summary.json").read_bytes() == summary


def test_a_window_is_repeated_to_the_cycle(folders: dict[str, Path]) -> None:
    from sim.cli.run import parse_window

    summary = read_result(folders["run"]).summary
    command = shlex.split(words([b for b in section(folders["run"], "repeat") if isinstance(b, Code)]))
    window = parse_window(command[command.index("--window") + 1], summary["frequency_hz"])
    assert list(window) == summary["window_cycles"]


def test_counterexamples_are_in_the_page(tmp_path: Path) -> None:
    out = tmp_path / "c"
    assert main(["check", "--plant", "shootdown-not-sent", "--out", str(out), "--quiet"]) == 1
    text = words(section(out, "counterexamples"))
    assert len(text) > 200
    token = json.loads((out / "summary.json").read_text(encoding="utf-8"))["results"][0]["token"]
    assert f"svs-sim check --replay {token}" in words(section(out, "repeat"))
    assert "is violated" in words(section(out, "headline")) or "are violated" in words(section(out, "headline"))


POINT = {"curve": "lseek", "x": 1, "published": 10.0, "predicted": 11.0, "error": 0.1, "fitted": False, "source": "S1",
         "null_error": 0.05, "informative": False}  # fmt: skip


def test_validation_is_taken_from_where_it_is_given(folders: dict[str, Path], tmp_path: Path) -> None:
    points = [
        POINT,
        {**POINT, "x": 2, "error": -0.3, "null_error": 0.6, "informative": True},
        {**POINT, "x": 3, "fitted": True, "error": 0.0},
    ]
    (tmp_path / "validation.json").write_text(json.dumps({"points": points}), encoding="utf-8")
    text = words(section(folders["run"], "validation", validation=tmp_path))
    assert "2 points predicted: median absolute error 20.0 %, worst 30 %" in text
    assert "lseek 2 1 20.0 % 30.0 % S1" in text
    assert "is within 10 % of 1 of these points" in text
    assert "On the other 1 the simulator's median error is 30.0 %, the null model's 60.0 %: a skill of 0.50." in text
    copy = shutil.copytree(folders["run"], tmp_path / "copy")
    shutil.copy(tmp_path / "validation.json", copy)
    assert "2 points predicted" in words(section(copy, "validation"))
    with pytest.raises(InputError, match="has no validation.json"):
        make_report(folders["run"], validation=copy.parent / "none")
    (tmp_path / "validation.json").write_text('{"points": [{"x": 1}]}', encoding="utf-8")
    with pytest.raises(InputError, match="is no result of 'svs-sim validate'"):
        make_report(folders["run"], validation=tmp_path)


def test_tables_of_the_validation_are_there_only_on_request(folders: dict[str, Path]) -> None:
    for folder in folders.values():
        blocks = section(folder, "validation")
        assert not [block for block in blocks if isinstance(block, Grid | Facts)]
        assert "points predicted" in words(blocks)


def test_a_long_table_shows_its_beginning_and_where_the_rest_is() -> None:
    rows = [(str(number), number) for number in range(5000)]
    table, note = beginning(("name", "value"), rows, "points.parquet")
    assert isinstance(table, Grid)
    assert table.rows == tuple((str(number), str(number)) for number in range(100))
    assert isinstance(note, Text)
    assert note.text == "The first 100 of 5,000 rows; all are in points.parquet."
    assert len(beginning(("name", "value"), rows[:100], "points.parquet")) == 1


def test_the_first_numbers_are_about_those_whom_the_headline_is_about(folders: dict[str, Path], tmp_path: Path) -> None:
    copy = shutil.copytree(folders["recording"], tmp_path / "copy")
    file = copy / "summary.json"
    summary = json.loads(file.read_text(encoding="utf-8"))
    own = {key: summary[key] for key in ("ledger", "busy_cycles")} | {"overhead_percent": 12.5, "label": "dd"}
    rest = {"busy_cycles": summary["busy_cycles"], "overhead_percent": 0.25}
    summary |= {"whose": own | {"rest": rest}}
    file.write_text(json.dumps(summary), encoding="utf-8")
    (numbers,) = (block for block in section(copy, "headline") if isinstance(block, Numbers))
    assert numbers.rows[:2] == (("+12.50 %", "its CPU time"), ("+0.25 %", "CPU time of the rest of the machine"))


def test_each_rate_has_its_own_causes() -> None:
    ledger = {
        "entry/exit CR3": 9000, "entry/exit SVS": 500, "svs_pdir_switch copy": 3000, "context switch": -200,
        "shootdown ack wait": 40_000, "shootdown receiver": 2000, "user TLB refill": 7777, "idle": 10**6,
    }  # fmt: skip
    summary = {
        "frequency_hz": 10**9,
        "counters": {"syscalls": 900, "faults": 80, "interrupts": 20, "context_switches": 100,
                     "tlbshoot remote REMOVE_PTE": 150, "tlbshoot remote UPDATE": 50, "tlbshoot local UPDATE": 999},
        "ledger": [{"cause": c, "baseline_cycles": 1000, "profile_cycles": 1000 + n} for c, n in ledger.items()],
    }  # fmt: skip
    assert [(r.event, r.count, r.each_cycles) for r in rates(summary)] == [
        ("crossing into the kernel and back", 1000, 9.5),
        ("context switch", 100, 28.0),
        ("remote shootdown", 200, 210.0),
    ]
    few = summary | {"counters": {"syscalls": 99, "context_switches": 99}}
    assert rates(few) == []


def test_the_command_writes_one_file(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "r.html"
    assert main(["report", str(folders["check"]), "--out", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(file), "bytes": file.stat().st_size}
    copy = shutil.copytree(folders["check"], tmp_path / "copy")
    assert main(["report", str(copy)]) == 0
    assert capsys.readouterr().out == f"{copy / 'report.html'}\n"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_cannot_be_done_is_said_in_a_line(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(folders["run"], tmp_path / "broken")
    summary = json.loads((broken / "summary.json").read_text(encoding="utf-8"))
    del summary["counters"]
    (broken / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    damaged = shutil.copytree(folders["run"], tmp_path / "damaged")
    (damaged / "switches.parquet").write_bytes(b"PAR1")
    for command, says in (
        ([str(tmp_path / "none")], "there is no folder"),
        ([str(tmp_path)], "holds no result"),
        ([str(broken)], "has no key 'counters'"),
        ([str(damaged)], "is damaged"),
        ([str(folders["check"]), "--out", str(tmp_path / "no" / "r.html")], "there is no folder"),
        ([str(folders["check"]), "--out", "/proc/r.html"], "cannot write"),
    ):
        assert main(["report", *command]) == 2
        shown = capsys.readouterr()
        assert says in shown.err
        assert shown.err.count("\n") == 1
    assert not (broken / "report.html").exists()
    assert not (damaged / "report.html").exists()


@pytest.fixture(scope="session")
def pages(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The reports as files."""
    base = tmp_path_factory.mktemp("pages")
    return {kind: write_report(path, out=base / f"{kind}.html") for kind, path in folders.items()}


@pytest.mark.browser
def test_it_reads_well_in_a_browser(pages: dict[str, Path], tmp_path: Path) -> None:
    from PIL import Image

    with browser(tmp_path / "profile") as chrome:
        for kind, page in pages.items():
            for width, height in (PHONE, DESK):
                show(chrome, page, width, height)
                sizes = chrome.execute_script(
                    "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
                )
                assert sizes == [width, width], f"{kind}: the page scrolls sideways at {width} px"
                assert chrome.execute_script(
                    "return [...document.images].every(i => i.complete && i.naturalWidth > 200)"
                )
                # What is wider than the page scrolls in a box of its own.
                outside = chrome.execute_script(
                    "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.box, pre, figure') && "
                    "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
                )
                assert outside == []
                smallest = chrome.execute_script(
                    "return Math.min(...[...document.querySelectorAll('main p, main dd, main td')].map(e => "
                    "parseFloat(getComputedStyle(e).fontSize)))"
                )
                assert smallest >= 12
                data = shoot(chrome, tmp_path / f"{kind}-{width}.png", width, 2 * height)
                picture = Image.open(io.BytesIO(data)).convert("L")
                # Neither blank nor a wall of ink.
                ink = sum(count for value, count in enumerate(picture.histogram()) if value < 128)
                assert 0.005 < ink / (picture.width * picture.height) < 0.5
            assert chrome.get_log("browser") == []
        asked = [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]
        urls = {
            m["params"]["request"]["url"].split(":")[0] for m in asked if m["method"] == "Network.requestWillBeSent"
        }
        assert not urls & {"http", "https", "ws", "wss", "ftp"}


@pytest.mark.browser
def test_it_prints(pages: dict[str, Path], tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as chrome:
        show(chrome, pages["run"], *DESK)
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        # A4 without its margins, in CSS pixels.
        size = {"width": 680, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert chrome.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"
        wide = chrome.execute_script(
            "return [...document.querySelectorAll('.box, pre')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert wide == 0
        pdf = chrome.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
        assert pdf["data"].startswith("JVBERi")  # %PDF


def test_the_shipped_validation_covers_the_shipped_curves(folders: dict[str, Path]) -> None:
    from analysis.report.validation import load_validation
    from sim.experiments.validation import list_curves

    found = load_validation(folders["run"], None)
    assert found is not None
    assert {point["curve"] for point in found[0]["points"]} == set(list_curves())
    assert found[1].startswith("as it ships")
    assert "points predicted" in words(section(folders["run"], "validation"))
