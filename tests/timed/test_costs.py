"""Cost tables: what ships is complete, and what is wrong is reported with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sim.errors import InputError
from sim.timed.costs import NAMES, SHIPPED, load_costs, parse_costs


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_tables_give_every_figure_a_source(name):
    table = load_costs(name)
    assert set(table.cycles()) == set(NAMES)
    for figure in NAMES:
        assert table.source(figure)
        if table.source(figure) == "assumed":
            assert table.figures[figure]["sure"] == "assumed"


@pytest.mark.parametrize("name", SHIPPED)
def test_what_has_no_source_says_what_was_looked_for(name):
    table = load_costs(name)
    unsure = {key: entry for key, entry in {**table.figures, **table.shapes}.items()
              if entry["sure"] in ("assumed", "RECALLED")}  # fmt: skip
    assert {"cli", "psc"} <= set(unsure)
    assert all(entry.get("note") for entry in unsure.values())


def changed(old: str, new: str) -> str:
    text = load_costs("haswell").text
    assert old in text
    return text.replace(old, new, 1)


BAD = [
    ("frequency_hz = 3500000000", "frequency_hz = -1", "mine.toml:4: frequency_hz: -1 must be 1000000 or more"),
    ("frequency_hz = 3500000000", "frequency_hz = '3 GHz'", "must be a whole number"),
    ("frequency_hz = 3500000000", "frequency_hz = 50", "frequency_hz: 50 must be 1000000 or more"),
    ('sure = "assumed"', "sure = []", "sure: an empty list must be text"),
    ('source = "assumed"', "source = 3", "source: 3 must be text"),
    ('swapgs = { value = 10, unit = "cycles"', 'swapgs = { value = 9999999999999, unit = "cycles"', "or less"),
    (
        'store = { value = 1, unit = "cycles"',
        'store = { value = 10000001, unit = "ns"',
        "costs.store.value: 35,000,003 cycles are more than 35,000,000, a tick of 10 ms",
    ),
    ("invlpg = {", "invplg = {", "unknown key 'costs.invplg'; did you mean 'invlpg'"),
    ("[costs]", "[kosts]", "unknown key 'kosts'; did you mean 'costs'"),
    (
        'swapgs = { value = 10, unit = "cycles"',
        'swapgs = { value = 10, unit = "bananas"',
        "'bananas' must be one of cycles, ns",
    ),
    (
        'swapgs = { value = 10, unit = "cycles"',
        'swapgs = { value = -3, unit = "cycles"',
        "swapgs.value: -3 must be 0 or more",
    ),
    ('swapgs = { value = 10, unit = "cycles"', 'swapgs = { value = 1.5, unit = "cycles"', "whole number"),
    ('swapgs = { value = 10, unit = "cycles"', "swapgs = { value = 10", "'costs.swapgs.unit' is missing"),
    ("ways = 4", "ways = 7", "do not divide"),
    ("[topology]", "[topology", "not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_bad_tables_are_refused_with_place(old, new, message):
    with pytest.raises(InputError) as caught:
        parse_costs(changed(old, new), "mine.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


def test_a_missing_figure_is_named():
    lines = [line for line in load_costs("haswell").text.splitlines() if not line.startswith("lldt")]
    with pytest.raises(InputError, match="figure missing: lldt"):
        parse_costs("\n".join(lines), "mine.toml")


def test_nanoseconds_become_cycles():
    table = parse_costs(changed('invlpg = { value = 237, unit = "cycles"', 'invlpg = { value = 100, unit = "ns"'), "x")
    assert table.cycles()["invlpg"] == 350


def test_unknown_table_and_unreadable_file(tmp_path):
    with pytest.raises(InputError, match="did you mean 'haswell'"):
        load_costs("hasswell")
    with pytest.raises(InputError, match="cannot read"):
        load_costs(tmp_path / "none.toml")
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_costs(binary)


def test_every_source_of_a_figure_is_in_the_documentation() -> None:
    root = Path(__file__).parent.parent.parent
    listed = {line.split(",")[0] for line in (root / "docs" / "figures.csv").read_text().splitlines()[1:]}
    tables = " ".join(path.read_text() for path in (root / "sim" / "timed" / "costs_data").glob("*.toml"))
    assert set(re.findall(r'source = "([^"]+)"', tables)) - {"assumed"} == listed
