"""The same litmus program with its roles given to other CPUs: the kernel goes by the order of their numbers.

An assignment is a word of digits: CPU *i* gets the role that the program gives to the CPU at place *i* of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import replace
from itertools import permutations

from sim.explore.litmus import Litmus, Op

NAMING_A_CPU = frozenset({"nmi", "tick", "device"})
_NAMING = {
    "switch": "lwp", "await": "lwp", "fork": "lwp", "page_remove": "page", "page_protect": "page",
}  # fmt: skip


def assignments(litmus: Litmus) -> list[Litmus]:
    """The program, then with its roles given to other CPUs, each once: programs that differ in names only are one."""
    if litmus.roles:
        return [litmus]
    found = {_shape(litmus): litmus}
    for roles in permutations(range(litmus.cpus)):
        other = mirrored(litmus, roles)
        found.setdefault(_shape(other), other)
    return list(found.values())


def mirrored(litmus: Litmus, roles: Iterable[int]) -> Litmus:
    """The program with its roles given to other CPUs, by the assignment *roles*."""
    now = {role: cpu for cpu, role in enumerate(roles)}
    word = "".join(str(role) for role in now)
    lwps = tuple(
        replace(lwp, cpu=now[lwp.cpu], ops=tuple(_elsewhere(op, now) for op in lwp.ops)) for lwp in litmus.lwps
    )
    violates = {key: names for key, names in litmus.violates.items() if "@" not in key}
    for key, names in litmus.violates.items():
        profile, _, roles_of = key.partition("@")
        if roles_of == word:
            violates[profile] = names
    return replace(litmus, name=f"{litmus.name}@{word}", lwps=lwps, roles=word, violates=violates)


def expected(litmus: Litmus, profile: str, name: str) -> tuple[str, ...]:
    """What a program may break under a profile, itself or as the assignment called *name*."""
    word = name.removeprefix(litmus.name)[1:]
    program = mirrored(litmus, [int(role) for role in word]) if word else litmus
    return program.violates.get(profile, ())


def _elsewhere(op: Op, now: dict[int, int]) -> Op:
    """An operation, on another CPU if it names one."""
    if op.verb not in NAMING_A_CPU:
        return op
    cpu, *rest = op.name.split()
    name = " ".join([str(now[int(cpu)]), *rest])
    return op._replace(name=name, text=f"{op.verb} {name}")


def _shape(litmus: Litmus) -> Hashable:
    """A program up to the names of LWPs, pmaps and channels: they stand in the order of the CPUs that come to them."""
    if litmus.outcomes:  # which name them
        return litmus.lwps
    lwps = sorted(litmus.lwps, key=lambda lwp: lwp.cpu)  # stable: the first of each CPU runs first
    numbers = {f"lwp {lwp.name}": at for at, lwp in enumerate(lwps)}

    def number(kind: str, name: str) -> int:
        return numbers.setdefault(f"{kind} {name}", len(numbers)) if name else -1

    def shape(op: Op) -> Hashable:
        kind = _NAMING.get(op.verb, "name")
        first, *rest = op.name.split() or [""]
        name: Hashable = number(kind, first)
        if op.verb == "segment":
            name = first
        elif len(rest) == 2:  # a device's operation on a kernel page
            name = first, *rest
        elif op.verb in NAMING_A_CPU:
            name = first, *(number("name", channel) for channel in rest)
        return op.verb, number("pmap", op.pmap), op.slot, op.page, op.pages, op.to, name, op.more

    made = tuple((lwp.cpu, lwp.bound, lwp.forked, number("pmap", lwp.pmap), tuple(map(shape, lwp.ops))) for lwp in lwps)
    pmaps = sorted((number("pmap", name), pages) for name, pages in sorted(litmus.pmaps.items()))
    shared = sorted(
        (number("page", name), tuple(sorted((number("pmap", pmap), slot, page) for pmap, slot, page in places)))
        for name, places in sorted(litmus.shared.items())
    )
    unused = sorted((number("pmap", pmap), slot, page) for pmap, slot, page in litmus.unused)
    return made, tuple(pmaps), tuple(shared), tuple(unused), litmus.kernel
