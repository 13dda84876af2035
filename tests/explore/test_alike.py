"""Profiles much alike: one exploration speaks for both, unless somebody looks at what they differ in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scenarios.litmus_reader import find
from sim.experiments.checks import explored
from sim.explore.alike import alike
from sim.explore.check import Result, check
from sim.explore.model import Differs
from sim.explore.request import Request
from sim.kernel.designs import isolating

ONE, OTHER = "svs-2018-02", "svs-netbsd8"


def told(result: Result) -> Result:
    """All of a result but how long it took."""
    return replace(result, seconds=0.0)


def test_only_revisions_that_boot_alike_are_alike() -> None:
    profiles = isolating()
    pairs = [(one, two) for at, one in enumerate(profiles) for two in profiles[at + 1 :] if alike(one, two)]
    assert pairs == [(ONE, OTHER)]


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("copyin-remove", "sc"),  # holds
        ("kernel-page-freed", "sc"),  # breaks what it declares
        ("device-in-exec", "tso"),  # with interrupts that return to the kernel, whose entry code can be patched
    ],
)
def test_what_is_said_of_both_is_what_each_gives_by_itself(
    name: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [Request(find(name), profile, memory) for profile in (ONE, OTHER)]
    by_themselves = [told(check(request)) for request in requests]
    asked: list[Request] = []

    def counted(request: Request) -> Result:
        asked.append(request)
        return check(request)

    monkeypatch.setattr("sim.experiments.checks.check", counted)
    assert [told(result) for _, result in sorted(explored(requests), key=lambda one: one[0])] == by_themselves
    assert [(request.profile, request.also) for request in asked] == [(ONE, OTHER)]


@pytest.mark.parametrize("name", ["bad-segment", "bad-iret", "disable", "nmi-in-disable"])
def test_nobody_looks_at_what_differs(name: str) -> None:
    with pytest.raises(Differs):
        check(Request(find(name), ONE, "sc", also=OTHER))


def test_where_they_differ_each_is_explored_by_itself() -> None:
    requests = [Request(find("bad-segment"), profile, "sc") for profile in (ONE, OTHER)]
    found = dict(explored(requests))
    assert [told(found[number]) for number in (0, 1)] == [told(check(request)) for request in requests]
    assert (found[0].verdict, found[1].verdict) == ("violated", "holds")


def test_other_requests_are_not_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    litmus = find("clean-page")
    known = replace(litmus, violates={ONE: ("progress",)})
    asked: list[Request] = []

    def counted(request: Request) -> Result:
        asked.append(request)
        return check(request)

    monkeypatch.setattr("sim.experiments.checks.check", counted)
    apart = [
        [Request(litmus, ONE, "sc"), Request(litmus, OTHER, "tso")],
        [Request(litmus, ONE, "sc"), Request(litmus, OTHER, "sc", strategy="dpor")],
        [Request(litmus, ONE, "sc"), Request(litmus, "svs-netbsd9", "sc")],
        [Request(known, ONE, "sc"), Request(known, OTHER, "sc")],
    ]
    for requests in apart:
        asked.clear()
        assert len(list(explored(requests))) == 2
        assert [request.also for request in asked] == ["", ""]
