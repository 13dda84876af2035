"""The report of explorations."""

from __future__ import annotations

import shlex
from typing import Any

from analysis.charts import OpenedResult, available, draw
from analysis.report.blocks import Block, Code, Facts, Numbers, Section, Text, beginning, grid, origin, picture
from analysis.units import counted
from sim.inputs.door import MIB, read_text

WORDS = {
    "holds": ("holds", "hold"), "violated": ("is violated", "are violated"),
    "incomplete": ("is incomplete (the budget ended first)", "are incomplete (the budget ended first)"),
    "crashed": ("crashed", "crashed"),
}  # fmt: skip


def sections(opened: OpenedResult) -> list[Section]:
    """Make the sections, the validation left out."""
    results = opened.summary["results"]
    return [
        Section("question", "Question", [Text(
            "Does the synchronisation of the page tables hold in every order in which CPUs, interrupts and store "
            "buffers can act?")]),
        Section("set-up", "Set-up", [_setup(opened.summary)]),
        Section("headline", "Answer", _answer(results)),
        Section("charts", "Charts", [picture(draw(opened, c.name), c.says) for c in available(opened)]),
        Section("ledger", "Explorations", _table(results)),
        Section("counters", "How often each invariant was really judged", [_premises(results)]),
        Section("counterexamples", "Counterexamples", _examples(opened, results)),
        Section("repeat", "How to repeat it", [Code("\n".join(commands(results)))]),
        Section("assumptions", "What was left out", _left_out(results)),
    ]  # fmt: skip


def _setup(summary: dict[str, Any]) -> Facts:
    results = summary["results"]
    names = {"litmus": "litmus programs", "profile": "profiles", "memory": "memory models", "strategy": "strategies",
             "planted": "planted bugs", "seed": "seed"}  # fmt: skip
    rows = []
    for key, name in names.items():
        values = list(dict.fromkeys(str(r[key]) for r in results if r.get(key) is not None))
        rows.append((name, f"{len(values)} programs" if key == "litmus" and len(values) > 6 else ", ".join(values)))
    return Facts((*((name, value or "none") for name, value in rows), *origin(summary)))


def _answer(results: list[dict[str, Any]]) -> list[Block]:
    counts = {verdict: sum(r["verdict"] == verdict for r in results) for verdict in WORDS}
    words = ", ".join(f"{count} {WORDS[verdict][count > 1]}" for verdict, count in counts.items() if count)
    executions, steps = (sum(r[key] for r in results) for key in ("executions", "steps"))
    return [
        Text(f"Of {counted(len(results), 'exploration')} {words}.", strong=True),
        Numbers(((f"{executions:,}", "executions"), (f"{steps:,}", "steps"))),
    ]


def _table(results: list[dict[str, Any]]) -> list[Block]:
    rows = [
        (r["litmus"], r["profile"], r["memory"], r.get("planted") or "-", r["verdict"],
         r.get("invariant") or r.get("left_out") or _proof(r), f"{r['executions']:,}",
         f"{r['steps']:,}")
        for r in results
    ]  # fmt: skip
    columns = ("litmus", "profile", "memory", "planted", "verdict", "what", "executions", "steps")
    return beginning(columns, rows, "explorations.parquet", numeric=6)


def _proof(result: dict[str, Any]) -> str:
    """What proves a verdict, if anything does."""
    if result.get("decided_under"):
        return f"follows from {result['decided_under']}"
    return "exhausted" if result["exhausted"] else ""


def _premises(results: list[dict[str, Any]]) -> Block:
    total: dict[str, list[int]] = {}
    for result in results:
        for name, count in result["premises"].items():
            entry = total.setdefault(name, [0, 0])
            entry[0] += count
            entry[1] += count > 0
    rows = [(name, f"{count:,}", explorations) for name, (count, explorations) in sorted(total.items())]
    return grid(("invariant", "times its premise held", "in explorations"), rows)


def _examples(opened: OpenedResult, results: list[dict[str, Any]]) -> list[Block]:
    blocks: list[Block] = []
    for file in sorted((opened.path / "counterexamples").glob("*.txt")):
        blocks += [Text(file.stem), Code(read_text(file, MIB).rstrip())]
    return blocks or [Text("None was found.")]


def commands(results: list[dict[str, Any]]) -> list[str]:
    """The commands that explore again, and those that replay each violation."""
    wholes: dict[tuple[str, ...], dict[str, None]] = {}
    for r in results:
        memory = r.get("decided_under") or r["memory"]
        words = ["--profile", r["profile"], "--memory", memory, "--strategy", r.get("strategy", "dpor")]
        words += [*_changes(r), *(["--seed", str(r["seed"])] if "seed" in r else [])]
        wholes.setdefault(tuple(words), {})[r["litmus"]] = None  # once
    lines = [shlex.join(["svs-sim", "check", *programs, *words]) for words, programs in wholes.items()]
    violations = (r for r in results if r.get("token"))
    replays = (["svs-sim", "check", "--replay", r["token"], *_changes(r, "file")] for r in violations)
    return [*lines, *map(shlex.join, replays)]


def _changes(result: dict[str, Any], *kinds: str) -> list[str]:
    """The words that change the kernel as it was changed for a result; a token names planted bugs itself."""
    options = {"file": "--patch", "name": "--plant"}
    found = []
    for patch in result.get("patches", []):
        kind = "file" if patch["file"] else "name"
        if kind in (kinds or options):
            found += [options[kind], patch[kind]]
    return found


def _left_out(results: list[dict[str, Any]]) -> list[Block]:
    rows = [(f"{r['litmus']}, {r['profile']}, {r['memory']}", r["left_out"]) for r in results if r.get("left_out")]
    if not rows:
        return [Text("Nothing: every exploration was exhausted or ended with a violation.")]
    return [Text("Within the bounds given, these were not explored to the end:"),
            grid(("exploration", "left out"), rows, numeric=2)]  # fmt: skip
