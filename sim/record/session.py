"""One recording from beginning to end, and everything as it was before afterwards."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import IO

from analysis.files import partial_folder
from sim.errors import InputError
from sim.record.child import Child, Usage, find_command, run_untraced
from sim.record.events import CALLS, MACHINE, Event, known_events
from sim.record.header import header_lines
from sim.record.layout import read_layout
from sim.record.machine import machine_facts
from sim.record.signals import from_terminal, held_back
from sim.record.spool import Entry, Spool
from sim.record.text import LEGEND, Lines, Names, kind_of
from sim.record.tracefs import Instance, buffer_kb, remove_leftovers, tracefs

Say = Callable[[str], None]
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what writing to a disk that is full or broken ends with
LEVEL = 6  # of gzip; higher ones take long and save little


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be recorded: the command's words, the file to write (gzipped if ``*.gz``), untraced runs before.

    *stdout* is the file descriptor that takes the command's standard output, if not its own.
    """

    words: Sequence[str]
    out: Path
    untraced: int = 1
    stdout: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was recorded: the file, its header's keys, the command's exit status, whether it was interrupted."""

    path: Path
    header: dict[str, str]
    status: int
    lost: int
    interrupted: bool


def record(plan: Plan, say: Say = lambda _: None) -> Outcome:
    """Run the command, without tracing and with it, and write the recording; *say* is called with what goes on.

    Raises InputError where this machine or user cannot record, the command cannot be run, or the file not be written;
    KeyboardInterrupt on a signal before the traced run has begun.  Nothing is left behind then.
    """
    find_command(plan.words)
    with _spool_folder(plan.out) as folder:
        with ExitStack() as tracing:
            root = tracing.enter_context(tracefs())
            remove_leftovers(root)
            machine = tracing.enter_context(_instance(root, "machine"))
            calls = tracing.enter_context(_instance(root, "calls"))
            runs = []
            for number in range(plan.untraced):
                say(f"running without tracing ({number + 1} of {plan.untraced})")
                runs.append(run_untraced(plan.words, stdout=plan.stdout))
            say("recording")
            session = _Session(plan, root, machine, calls, folder)
            session.run()
        say("writing")
        return session.write(runs)


@contextmanager
def _spool_folder(out: Path) -> Iterator[Path]:
    """A hidden folder beside the file that will be written."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(partial_folder(out.parent, out.name))
        except OSError as error:
            raise InputError(f"cannot write '{out}': {error.strerror}") from None
        try:
            yield folder
        except OSError as error:
            if error.errno not in DISK:
                raise
            raise InputError(f"cannot write '{out}': {error.strerror}") from None


@contextmanager
def _instance(root: Path, name: str) -> Iterator[Instance]:
    """A tracing instance, removed again whatever happens."""
    instance = Instance(root, name)
    try:
        yield instance
    finally:
        with held_back():
            instance.remove()


class _Session:
    """The traced run."""

    def __init__(self, plan: Plan, root: Path, machine: Instance, calls: Instance, folder: Path) -> None:
        self.plan, self.root, self.folder = plan, root, folder
        self.machine, self.calls = machine, calls
        self.events: dict[int, Event] = {}
        self.names = Names()
        self.interrupted = False
        self._set_up()
        header = read_layout("ID: 0\nname: page\n" + (root / "events/header_page").read_text(encoding="ascii"))
        data = header.fields["data"]
        self.spool = Spool(folder, (machine, calls), data.offset + data.size)

    def _set_up(self) -> None:
        """Choose the events and make both instances ready."""
        size = buffer_kb(os.cpu_count() or 1, 2)
        for instance, templates in ((self.machine, MACHINE), (self.calls, CALLS)):
            events = known_events(self.root, templates)
            instance.set_up((event.path for event in events.values()), size_kb=size)
            instance.open_pipes()
            self.events |= events

    def run(self) -> None:
        """Run the command and save what is traced."""
        child = Child(self.plan.words, stdout=self.plan.stdout)
        self.pid = child.pid
        both = (self.machine, self.calls)
        try:
            self.calls.only(child.pid)
            for instance in both:
                instance.switch(on=True)
            child.let_go()
            try:
                self.spool.follow(child.pidfd)
            except KeyboardInterrupt as signal:
                self.interrupted = True
                with held_back():
                    child.stop(at_once=not from_terminal(signal))
            self.end_ns = time.monotonic_ns()
            for instance in both:
                instance.switch(on=False)
            self.start_ns = child.started_ns
            self.usage: Usage = child.wait()
        finally:
            child.close()
        self.spool.finish()
        self.lost = self.machine.lost() + self.calls.lost()
        self.names.add_processes((self.root / "saved_tgids").read_text(encoding="ascii"))

    def write(self, runs: Sequence[Usage]) -> Outcome:
        """Write the recording, whole or not at all."""
        plan = self.plan
        lines = Lines(self.events, self.names)
        body, whole = self.folder / "body", self.folder / "whole"
        with _opened(body, plan.out) as file:
            file.writelines(line.encode() for line in lines.print(self._entries()))
        if not lines.counts["sys_enter"]:
            raise InputError(
                f"no system call of '{plan.words[0]}' was recorded, so nothing was written; in a container with process"
                " numbers of its own, record from outside"
            )
        lost = max(lines.lost, self.lost)
        header = machine_facts() | self._facts(runs, lines, lost)
        with _opened(whole, plan.out) as file:
            file.write("".join(f"{line}\n" for line in ("# tracer: nop", *header_lines(header), *LEGEND)).encode())
        with whole.open("ab") as end, body.open("rb") as rest:  # members of a gzip file may follow each other
            shutil.copyfileobj(rest, end)
        whole.replace(plan.out)
        return Outcome(plan.out, header, self.usage.status, lost, self.interrupted)

    def _entries(self) -> Iterator[Entry]:
        """What was traced, from the system call on by which the child became the command."""
        (call,) = (number for number, event in self.events.items() if event.name == "sys_enter")
        found = self.spool.entries(self.start_ns, self.end_ns)
        return dropwhile(lambda entry: entry.lost or kind_of(entry) != call, found)

    def _facts(self, runs: Sequence[Usage], lines: Lines, lost: int) -> dict[str, str]:
        """The header's keys that describe the runs."""
        facts = {
            "command": " ".join(self.plan.words),
            "pid": str(self.pid),
            "comm": Path(self.plan.words[0]).name[:15],
            "clock": "mono",
            "traced_elapsed_s": f"{self.usage.elapsed_s:.6f}",
            "traced_user_s": f"{self.usage.user_s:.6f}",
            "traced_system_s": f"{self.usage.system_s:.6f}",
            "exit_status": str(self.usage.status),
            "lost_events": str(lost),
            "events": ",".join(f"{name}:{count}" for name, count in sorted(lines.counts.items())),
        }
        if self.interrupted:
            facts["interrupted"] = "yes"
        for key in ("elapsed", "user", "system") if runs else ():
            facts[f"untraced_{key}_s"] = ",".join(f"{getattr(run, f'{key}_s'):.6f}" for run in runs)
        return facts


@contextmanager
def _opened(path: Path, out: Path) -> Iterator[IO[bytes]]:
    """A file to write text into, packed if the recording is to be."""
    with path.open("wb") as raw:
        if out.suffix != ".gz":
            yield raw
            return
        with gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]
