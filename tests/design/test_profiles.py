"""One registry of designs: a profile that is added to it is in every list."""

from __future__ import annotations

import csv
import importlib.util
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from analysis.charts.style import in_order, own_colours
from scenarios.litmus_reader import read
from sim.cli import main
from sim.cli._parser import build, commands
from sim.errors import ModelError
from sim.kernel.designs import PROFILES, make_design, register
from sim.kernel.designs.base import Design, Profile
from sim.kernel.designs.svs import Svs, SvsRevision
from sim.kernel.shootdown2018 import Shootdown2018
from sim.timed.paired import check_profile

ROOT = Path(__file__).resolve().parents[2]
NEW = "svs-patched"


class Patched(Svs):
    """A design that differs in one function."""

    def rsp0(self, ci, new):
        return super().rsp0(ci, new)


def make(pcid: bool) -> Design:
    revision: SvsRevision = make_design("svs-netbsd9").revision  # type: ignore[attr-defined]
    return Patched(NEW, revision, pcid=pcid, shootdown=Shootdown2018())


@pytest.fixture(autouse=True)
def _added(monkeypatch):
    monkeypatch.setitem(PROFILES, NEW, Profile(NEW, "NetBSD 9 with a patch", make, pcid=True))


def loaded(path: str) -> ModuleType:
    """A Python file that is in no package."""
    spec = importlib.util.spec_from_file_location(f"under_test_{Path(path).stem}", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_name_is_taken_once():
    with pytest.raises(ModelError, match="two profiles 'none'"):
        register(PROFILES["none"])


def test_a_new_profile_is_checked_with_all_and_may_be_expected_to_violate(capsys, tmp_path):
    assert main(["check", "two-installs", "--profile", "all", "--memory", "sc", "--budget", "1", "--json"]) == 3
    results = json.loads(capsys.readouterr().out)["results"]
    assert [result["profile"] for result in results] == [name for name in PROFILES if name != "none"]
    own = tmp_path / "own.toml"
    text = (ROOT / "scenarios" / "litmus" / "nmi-in-entry.toml").read_text(encoding="utf-8")
    own.write_text(text.replace("svs-netbsd8 =", f"{NEW} ="), encoding="utf-8")
    assert NEW in read(own).violates


def test_a_new_profile_can_be_run_and_named_by_every_command():
    assert check_profile(f"{NEW}+no-global") == f"{NEW}+no-global"
    _, parsers = build(commands())
    assert NEW in parsers["run"].format_help().replace("\n", "").replace(" ", "")


def test_a_new_profile_has_a_colour_and_a_place_in_charts():
    assert list(own_colours()) == list(PROFILES)
    assert len(set(own_colours().values())) == len(PROFILES)
    assert in_order([f"{NEW} PCID", "pti", "none"]) == ["none", "pti", f"{NEW} PCID"]


def test_a_new_profile_has_a_column_of_verdicts(monkeypatch, tmp_path):
    tool = loaded("tools/verdicts.py")
    result = {"litmus": "x", "memory": "sc", "profile": NEW, "verdict": "holds", "executions": 3, "abandoned": 1}
    (tmp_path / "out.json").write_text(json.dumps({"results": [result]}), encoding="utf-8")
    monkeypatch.setattr(tool, "OUT", tmp_path / "verdicts.csv")
    monkeypatch.setattr("sys.argv", ["verdicts.py", str(tmp_path / "out.json")])
    tool.main()
    with (tmp_path / "verdicts.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row[NEW] == "holds (4)"
    assert row["pti"] == "-"


def test_the_table_of_verdicts_keeps_what_is_not_explored_again(monkeypatch, tmp_path):
    tool = loaded("tools/verdicts.py")
    old = [f"{name},sc,old,old" for name in ("a-program-that-is-no-more", "remove-page", "wake-across")]
    (tmp_path / "verdicts.csv").write_text("\n".join(["litmus,memory,pti,svs-netbsd8", *old]), encoding="utf-8")
    result = {"litmus": "remove-page", "memory": "sc", "profile": "pti", "verdict": "incomplete", "executions": 1,
              "abandoned": 4, "states": 1234}  # fmt: skip
    (tmp_path / "out.json").write_text(json.dumps({"results": [result]}), encoding="utf-8")
    monkeypatch.setattr(tool, "OUT", tmp_path / "verdicts.csv")
    monkeypatch.setattr("sys.argv", ["verdicts.py", str(tmp_path / "out.json")])
    tool.main()
    with (tmp_path / "verdicts.csv").open(encoding="utf-8") as file:
        rows = {row["litmus"]: (row["pti"], row["svs-netbsd8"], row["svs-netbsd10"]) for row in csv.DictReader(file)}
    assert rows == {"remove-page": ("none in 1,234 states", "old", "-"), "wake-across": ("old", "old", "-")}


def test_the_documentation_lists_it():
    pytest.importorskip("docutils", reason="the extra 'docs' is not installed")
    conf = loaded("docs/conf.py")
    (table,) = conf.Profiles("profiles", [], {}, None, 0, 0, "", None, SimpleNamespace(reporter=None)).run()
    shown = [entry.astext() for entry in table.findall(conf.nodes.entry)]
    assert shown[2::2] == list(PROFILES)
    assert "NetBSD 9 with a patch" in shown


@pytest.mark.parametrize("page", ["README.rst", "docs/verdicts.csv"])
def test_pages_that_name_profiles_name_all(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    names = set(PROFILES) - {NEW} - ({"none"} if page.endswith("csv") else set())
    assert {name for name in names if name in text} == names
