"""Mutants of the kernel's procedures by rule, as unified diffs."""

from __future__ import annotations

import ast
import difflib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from unidiff.patch import PatchSet

from sim.explore.blame import ROOT

KERNEL = ROOT / "sim" / "kernel"
NOTHING = "yield from ()"  # in place of a step, so that a procedure stays a generator
FREE = frozenset({"cost", "work", "handler_work", "lldt", "sched_pstats", "_kernel_work"})  # what only takes time
TIMED = frozenset({"resident", "who", "lines", "nforks"})  # fields that only timed runs, or names, are made of
# What the processor does by itself as it runs the kernel's code: to leave it out is no change of the kernel.
ACCESSES = frozenset({"must", "access", "touch", "through_recursive", "cross_in", "alt_plain", "leave_alt_plain",
                      "_push", "_nested"})  # fmt: skip
HARDWARE = frozenset({
    "at.gate", "at.ring", "Leave.ring", "Leave.flags_restored", "AltstackLeave.ring", "NmiLeave.flags_restored",
    "TrapEntry.tss_rsp0", "Interrupt.interrupt_gate", "Interrupt.flags_restored",
})  # fmt: skip
PARTS = (".fetch", ".handler", ".utls")  # sites of accesses that no instruction makes by itself
QUIET = ACCESSES | {"load"}  # steps that change nothing: two of them can change places
# Procedures that carry out a workload's operations in timed runs: what they leave out nobody asked the kernel for.
WORKLOAD = frozenset(
    {"_user_main", "_system_main", "_kernel_work", "_user", "_fault", "_fault_in", "_syscall", "_run_body",
     "_kernel_op", "_device_interrupt", "_bare_syscall"}
)  # fmt: skip
# What a mutant puts in place of a name: the other half's PCID, the other set of CPUs, another state of a TLB.
WRONG = {
    "PCID_USER": "PCID_KERN",
    "PCID_KERN": "PCID_USER",
    "pm_cpus": "pm_kernel_cpus",
    "pm_kernel_cpus": "pm_cpus",
    "TLBSTATE_VALID": "TLBSTATE_LAZY",
    "TLBSTATE_LAZY": "TLBSTATE_VALID",
    "TLBSTATE_STALE": "TLBSTATE_LAZY",
}
SHIFTED = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}
# What a locked update makes of the word that it read, once it is a load and a store.
PLAIN: dict[str, Callable[[str, str], str]] = {
    "bit_set": lambda old, value: f"{old} | ({value})",
    "bit_clear": lambda old, value: f"{old} & ~({value})",
    "add": lambda old, value: f"{old} + ({value})",
    "exchange": lambda _old, value: value,
}
RULES = ("drop", "swap", "weaken", "wrong", "mutex", "bound")
Procedure = ast.FunctionDef
Line = tuple[str, int]
Edit = tuple[int, int, list[str]]  # lines from, to (the one behind), and what stands there instead


class Mutant(NamedTuple):
    """A change of the kernel in one place.

    Attributes:
        lines: the lines that it changes: path from the project's root, number.
        key: what it is called as long as these lines stay, wherever they are.
        name: file, first line, procedure and rule, for people.
        procedure: file and name.
    """

    lines: tuple[Line, ...]
    rule: str
    key: str
    name: str
    diff: str
    procedure: tuple[str, str]


class Source(NamedTuple):
    """A file under mutation."""

    path: str
    text: str
    lines: list[str]

    def of(self, node: ast.AST) -> str:
        """The source of an expression."""
        return ast.get_source_segment(self.text, node) or ""


def mutants() -> list[Mutant]:
    """All mutants of all procedures, in the order of the sources."""
    return [mutant for path in sorted(KERNEL.rglob("*.py")) for mutant in _told_apart(of_file(path))]


def _told_apart(mutants: Iterable[Mutant]) -> Iterator[Mutant]:
    """Number those that make the same change of the same procedure in several places."""
    seen: Counter[str] = Counter()
    for mutant in mutants:
        seen[mutant.key] += 1
        yield mutant._replace(key=f"{mutant.key}-{seen[mutant.key]}") if seen[mutant.key] > 1 else mutant


def of_file(path: Path) -> Iterator[Mutant]:
    """The mutants of one file."""
    text = path.read_text(encoding="utf-8")
    source = Source(str(path.relative_to(ROOT)), text, text.splitlines(keepends=True))
    rules = (_drops, _swaps, _weakened, _wrong, _mutexes, _bounds)
    for procedure in _procedures(ast.parse(text)):
        for rule, edits in zip(RULES, rules, strict=True):
            for edit in edits(source, procedure):
                yield _mutant(source, procedure, rule, edit)


def _mutant(source: Source, procedure: Procedure, rule: str, edits: list[Edit]) -> Mutant:
    """Make the diff of some edits in one procedure."""
    new = list(source.lines)
    for start, end, put in sorted(edits, reverse=True):
        new[start:end] = put
    if rule == "weaken":
        at = new.index("from __future__ import annotations\n")
        new.insert(at + 1, "from sim.hardware.steps import load, store\n")
    diff = list(difflib.unified_diff(source.lines, new, f"a/{source.path}", f"b/{source.path}"))
    stem = source.path.removeprefix("sim/kernel/").removesuffix(".py")
    changed = "".join(line[0] + line[1:].strip() for line in diff[2:] if line[0] in "+-")
    digest = hashlib.sha256(changed.encode()).hexdigest()[:6]
    lines = sorted(line for start, end, _ in edits for line in range(start + 1, end + 1))
    name = f"{stem}:{lines[0]} {procedure.name} {rule}"
    where = tuple((source.path, line) for line in lines)
    key = f"{stem} {procedure.name} {rule} {digest}"
    return Mutant(where, rule, key, name, "".join(diff), (source.path, procedure.name))


def of_diff(path: Path) -> Mutant:
    """A mutant that somebody made by hand: it takes lines out, or puts some behind the line before."""
    diff = path.read_text(encoding="utf-8")
    lines: set[Line] = set()
    for file in PatchSet(diff):
        before = 0
        for line in (line for hunk in file for line in hunk):
            before = line.source_line_no or before
            if not line.is_context:
                lines.add((file.path, before))
    digest = hashlib.sha256(diff.encode()).hexdigest()[:6]
    return Mutant(tuple(sorted(lines)), "by hand", f"{path.stem} {digest}", path.name, diff, ("", path.stem))


def _procedures(tree: ast.Module) -> Iterator[Procedure]:
    """Functions whose steps a driver makes."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.FunctionDef)
            and node.name not in WORKLOAD
            and any(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(node))
        ):
            yield node


def _blocks(procedure: Procedure) -> Iterator[list[ast.stmt]]:
    """All lists of statements of a procedure."""
    for node in ast.walk(procedure):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield block


def _step(statement: ast.stmt) -> ast.Call | None:
    """The call of a statement that is a step or runs a procedure, whether or not its value is kept."""
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    if isinstance(value, ast.Yield | ast.YieldFrom) and isinstance(value.value, ast.Call):
        call = value.value
        return None if _site(call) in HARDWARE or _called(call) in FREE else call
    return None


def _site(call: ast.Call) -> str:
    """The site of a step, which comes last."""
    return ast.unparse(call.args[-1]) if call.args else ""


def _called(call: ast.Call) -> str:
    """The last part of a called name."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _span(statement: ast.stmt) -> tuple[int, int]:
    assert statement.end_lineno is not None
    return statement.lineno - 1, statement.end_lineno


def _put(source: Source, statement: ast.stmt, *lines: str) -> Edit:
    """Lines in place of a statement, as deep as it was."""
    return (*_span(statement), [" " * statement.col_offset + line + "\n" for line in lines])


def _drops(source: Source, procedure: Procedure) -> Iterator[list[Edit]]:
    """A step, a call of a procedure, or a change of the kernel's data is left out."""
    for block in _blocks(procedure):
        for statement in block:
            call = _step(statement) if isinstance(statement, ast.Expr) else None
            step = call is not None and _called(call) not in ACCESSES
            target: ast.expr | None = statement.target if isinstance(statement, ast.AugAssign) else None
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
            field = target.attr if isinstance(target, ast.Attribute) else ""
            if step or field not in TIMED and isinstance(target, ast.Attribute | ast.Subscript):
                yield [_put(source, statement, NOTHING)]


def _is_part(call: ast.Call) -> bool:
    """Whether a step is an access that the instruction before or after it makes by itself."""
    name = _called(call)
    return name in ACCESSES - {"must"} or name == "must" and _site(call).endswith(PARTS)


def _swaps(source: Source, procedure: Procedure) -> Iterator[list[Edit]]:
    """Two steps, one after the other, change places."""
    for block in _blocks(procedure):
        for one, two in zip(block, block[1:], strict=False):
            steps = _step(one), _step(two)
            if None not in steps and not all(_called(call) in QUIET for call in steps if call is not None):
                (start, middle), (_, end) = _span(one), _span(two)
                if any(_is_part(call) for call in steps if call is not None):
                    continue
                first, between = source.lines[start:middle], source.lines[middle : _span(two)[0]]
                yield [(start, end, source.lines[_span(two)[0] : end] + between + first)]


def _weakened(source: Source, procedure: Procedure) -> Iterator[list[Edit]]:
    """A locked update becomes a load and a store."""
    for block in _blocks(procedure):
        for statement in block:
            call = _step(statement)
            if call is None or _called(call) != "rmw" or len(call.args) != 5:
                continue
            word, at, how, value, where = (source.of(arg) for arg in call.args)
            kept = isinstance(statement, ast.Assign)
            old = source.of(statement.targets[0]) if isinstance(statement, ast.Assign) else "weakened"
            load = f"{old} = yield load({word}, {at}, {where})"
            pair = call.args[3]
            if how in PLAIN:
                store = f"yield store({word}, {at}, {PLAIN[how](old, value)}, {where})"
                yield [_put(source, statement, load, store)]
            elif how == "compare_and_swap" and isinstance(pair, ast.Tuple) and kept:
                expected, new = (source.of(element) for element in pair.elts)
                store = f"    yield store({word}, {at}, {new}, {where})"
                yield [_put(source, statement, load, f"if {old} == {expected}:", store)]


def _wrong(source: Source, procedure: Procedure) -> Iterator[list[Edit]]:
    """The wrong PCID, set of CPUs or state of the TLB; not in an assertion."""
    for statement in (statement for block in _blocks(procedure) for statement in block):
        if not isinstance(statement, ast.Expr | ast.Assign | ast.Return) or "kassert" in source.of(statement):
            continue
        for node in ast.walk(statement):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
            site = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id[0].isupper()
            if name in WRONG and not site:
                assert isinstance(node, ast.expr)
                yield [_inside(source, node, source.of(node).removesuffix(name) + WRONG[name])]


def _inside(source: Source, node: ast.expr, new: str) -> Edit:
    """Another text in place of an expression on one line."""
    line = source.lines[node.lineno - 1].encode()
    changed = line[: node.col_offset] + new.encode() + line[node.end_col_offset :]
    return (node.lineno - 1, node.lineno, [changed.decode()])


def _mutexes(source: Source, procedure: Procedure) -> Iterator[list[Edit]]:
    """A mutex that a procedure takes and gives back is not taken."""
    taken: dict[str, list[ast.stmt]] = {}
    for block in _blocks(procedure):
        for statement in block:
            call = _step(statement) if isinstance(statement, ast.Expr) else None
            if call is not None and _called(call) in ("mutex_enter", "mutex_exit"):
                taken.setdefault(source.of(call.args[1]), []).append(statement)
    for statements in taken.values():
        if len(statements) > 1:
            yield [_put(source, statement, NOTHING) for statement in statements]


def _bounds(source: Source, procedure: Procedure) -> Iterator[list[Edit]]:
    """A comparison takes its limit in or leaves it out; a range ends one early or late."""
    for statement in (statement for block in _blocks(procedure) for statement in block):
        if "kassert" in source.of(statement).split("\n")[0]:
            continue
        heads = [statement.test] if isinstance(statement, ast.If | ast.While) else []
        heads += [statement.iter] if isinstance(statement, ast.For) else []
        for node in (node for head in heads for node in ast.walk(head)):
            if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in SHIFTED:
                left, right = source.of(node.left), source.of(node.comparators[0])
                yield [_inside(source, node, f"{left} {SHIFTED[type(node.ops[0])]} {right}")]
            elif isinstance(node, ast.Call) and _called(node) == "range":
                last = node.args[min(1, len(node.args) - 1)]
                for change in ("- 1", "+ 1"):
                    yield [_inside(source, last, f"{source.of(last)} {change}")]
