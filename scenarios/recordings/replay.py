"""The second pass: one streaming reader feeds the programs of all tasks as the simulator asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scenarios.recordings import fields
from scenarios.recordings.lines import Line, LineReader
from scenarios.recordings.linux import (
    CLONE_VM,
    IRQ_ENTRY,
    IRQ_EXIT,
    KERNEL_THREAD,
    MADV_DONTNEED,
    MADV_FREE,
    PROT_WRITE,
    SYSCALLS,
    fold,
    is_user,
)
from scenarios.recordings.survey import NEVER_WOKEN, SLEEP_BITS, WOKEN_BY_TASK, FirstSeen, Survey, depends, identity
from scenarios.recordings.tasks import Space, Task
from sim.hardware.steps import Access
from sim.kernel import program
from sim.kernel.program import Fault, Fork, Interrupt, LwpSpec, Operation, Syscall, User

MAP_FIXED = 0x10


class Replay:
    """Turns events into items of tasks; programs pull, and the reader goes on as far as they need."""

    def __init__(self, survey: Survey, frequency_hz: int, fault_ns: int) -> None:
        self.survey = survey
        self.hz = frequency_hz
        self.fault_cycles = fault_ns * frequency_hz // 1_000_000_000
        self.reader = LineReader(survey.path)
        self.lines = iter(self.reader)
        self.assumptions: dict[str, int] = {}
        self.tasks: dict[int, Task] = {}
        self.generation: dict[int, int] = {}
        self.irq: dict[int, list[tuple[str, int]]] = {}
        self.sleeps = survey.sleeps.reader()
        self.begun: set[int] = set()
        self.running: dict[int, Task | None] = {}
        self.finished = False
        self._handlers: dict[str, Callable[[Line, Task | None], None]] = {
            "page_fault_user": self._fault,
            "sched_switch": self._switch,
            "sched_wakeup": self._wake,
            "sched_wakeup_new": self._born,
            "ipi_send_cpu": self._call,
            "sched_process_fork": self._fork,
            "sched_process_exec": self._exec,
            "sched_process_exit": self._exit,
        }

    def count(self, what: str, n: int = 1) -> None:
        """Count the use of a rule."""
        self.assumptions[what] = self.assumptions.get(what, 0) + n

    def cycles(self, time: int) -> int:
        """Cycles since the recording began."""
        return (time - self.survey.first) * self.hz // 1_000_000_000

    # --- programs ---------------------------------------------------------------------------------------------------

    def initial(self) -> list[LwpSpec]:
        """LWPs for the tasks that nobody in the recording created."""
        return [self._initial(seen) for seen in self.survey.tasks]

    def _initial(self, seen: FirstSeen) -> LwpSpec:
        """One task that was there before, or was created by somebody who is not recorded."""
        system = bool(KERNEL_THREAD.match(seen.comm))
        task = Task(str(seen.tid), seen.comm, Space(resident=not seen.born), system=system)
        self.tasks[seen.tid] = task
        if not seen.born:
            self.count("tasks_alive_before")
        if seen.asleep:
            self._sleep(task)
        group = f"{seen.tgid or seen.tid}:{seen.comm}" if not system else "kernel"
        start = self.cycles(seen.time) if seen.born else 0
        return self._spec(task, group, resident=not seen.born, start=start)

    def _spec(self, task: Task, group: str, *, resident: bool, start: int = 0) -> LwpSpec:
        """The LWP of a task."""
        priority = 96 if task.system else 43
        return LwpSpec(task.comm, self._program(task), group, system=task.system, priority=priority,
                       resident=resident, start=start)  # fmt: skip

    def _next(self, task: Task) -> tuple[Any, ...] | None:
        """The task's next item; reads on as far as needed; None when the recording has no more of it."""
        while not task.queue:
            if self.finished or task.ended:
                return None
            self._advance()
        item: tuple[Any, ...] = task.queue.popleft()
        return item

    def _program(self, task: Task) -> Iterator[Operation]:
        """The operations of one task."""
        while (item := self._next(task)) is not None:
            kind = item[0]
            if kind == "u":
                yield User(item[1], item[2], True)
            elif kind == "f":
                yield Fault(item[1], item[2], item[3], True)
            elif kind == "s":
                body = self._body(task)
                yield Syscall(item[1], 0, body, True)  # type: ignore[arg-type]
                for _ in body:
                    pass
            elif kind == "i":
                yield Interrupt(item[1], item[2])

    def _body(self, task: Task) -> Iterator[program.KernelOp]:
        """The operations inside one system call."""
        while (item := self._next(task)) is not None:
            kind = item[0]
            if kind == "e":
                return
            if kind == "w":
                yield program.Work(item[1])
            elif kind == "k":
                yield item[1]
            elif kind == "fork":
                child: Task = item[1]
                yield Fork(self._spec(child, f"{child.key}:{child.comm}", resident=child.space.resident), item[2])
            elif kind == "x":
                yield program.Exit()
                return

    # --- reading ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Take one more event, or end all tasks."""
        line = next(self.lines, None)
        if line is None:
            self.finished = True
            for left in self.tasks.values():
                self._stretch(left, self.survey.last)
            return
        task = self.tasks.get(line.tid) if line.tid else None
        if task is not None and (fields.shows_running(line.name) or task.fresh and not task.asleep):
            self._runs(line, task)
        self.begun.add(line.cpu)
        name = line.name
        if fields.is_enter(name):
            self._enter(line, task)
        elif fields.is_exit(name):
            self._leave(line, task)
        elif name in self._handlers:
            self._handlers[name](line, task)
        elif name in IRQ_ENTRY:
            self.irq.setdefault(line.cpu, []).append((IRQ_ENTRY[name], line.time))
        elif name in IRQ_EXIT:
            self._irq_end(line, task)

    def _runs(self, line: Line, task: Task) -> None:
        """The event proves that *task* runs on this CPU: put right what missing switches left wrong."""
        before = self.running.get(line.cpu)
        if task.on_cpu and before is task:
            return
        since = line.time
        if before is not None and before is not task and before.on_cpu and before.cpu == line.cpu:
            # Its switch-out is missing: it keeps what it showed, the rest is the other's.
            since = before.since
            before.on_cpu = False
            self.count("switches_missing")
        if not task.on_cpu:
            first = task.fresh and line.cpu not in self.begun
            task.since = self.survey.first if first else since
            task.on_cpu = True
            task.asleep = False
        task.cpu = line.cpu
        self.running[line.cpu] = task

    def _stretch(self, task: Task, now: int) -> None:
        """End the stretch that the task has been computing in, and begin another."""
        if not task.on_cpu:
            return
        spent = self.cycles(now) - self.cycles(task.since)
        task.since = now
        task.fresh = False
        if task.pending_fault is not None:
            va, access = task.pending_fault
            task.pending_fault = None
            handler = min(spent, self.fault_cycles)
            task.put("f", va, access, max(handler, 1))
            spent -= handler
            self.count("fault_time_estimated")
        if spent <= 0:
            return
        if task.name is None:
            task.put("u", spent, () if task.system else task.space.touches())
        else:
            task.put("w", spent)

    def _enter(self, line: Line, task: Task | None) -> None:
        found = fields.enter(line)
        if task is None or found is None:
            return
        self._stretch(task, line.time)
        if task.name is not None:
            self.count("syscall_exit_missing")
            task.close()
        task.open(SYSCALLS.get(found[0], f"syscall {found[0]}"), *found)

    def _leave(self, line: Line, task: Task | None) -> None:
        if task is None:
            return
        fresh = task.fresh
        self._stretch(task, line.time)
        if task.name is None:
            if not fresh:
                self.count("syscall_entry_missing")
            return
        value = fields.leave(line)
        if value is not None and value >= 0:
            self._map_operation(task, task.nr, task.args, value)
        task.close()

    def _map_operation(self, task: Task, nr: int, args: list[int], value: int) -> None:
        """What a finished system call did to the address space."""
        space = task.space
        if nr == 12:
            if space.brk and value < space.brk:
                self._unmap(task, value, space.brk)
            elif space.brk and value > space.brk:
                task.put("k", program.Map(fold(space.brk), fold(value)))
            space.brk = value
            return
        if len(args) < 3 or not is_user(args[0] or value):
            return
        start, size = args[0], args[1]
        if nr == 9:
            if len(args) > 3 and args[3] & MAP_FIXED:
                self._unmap(task, value, value + size)
            task.put("k", program.Map(fold(value), fold(value) + size, bool(args[2] & PROT_WRITE)))
        elif nr == 11 or nr == 28 and args[2] in (MADV_DONTNEED, MADV_FREE):
            self._unmap(task, start, start + size)
        elif nr == 25 and (value != start or args[2] < size):
            self._unmap(task, start + (args[2] if value == start else 0), start + size)
        elif nr == 10:
            write = bool(args[2] & PROT_WRITE)
            low = fold(start)
            if not args[2]:
                space.forget(low, low + size)
            elif not write:
                space.read_only(low, low + size)
            task.put("k", program.Protect(low, low + size, write, not args[2]))

    def _unmap(self, task: Task, start: int, end: int) -> None:
        low = fold(start)
        task.space.forget(low, low + end - start)
        task.put("k", program.Unmap(low, low + end - start))
        if low != start:
            self.count("addresses_moved")

    def _fault(self, line: Line, task: Task | None) -> None:
        found = fields.fault(line)
        if task is None or found is None:
            return
        address, code = found
        if not is_user(address):
            self.count("faults_outside_user_space")
            return
        self._stretch(task, line.time)
        access = Access.EXEC if code & 0x10 else Access.WRITE if code & 2 else Access.READ
        if task.name is not None:
            self.count("faults_inside_syscalls")
            return
        task.pending_fault = (fold(address), access)
        task.space.use(address, access, faulted=True)
        if fold(address) != address:
            self.count("addresses_moved")

    # --- scheduling -------------------------------------------------------------------------------------------------

    def _switch(self, line: Line, _: Task | None) -> None:
        found = fields.switch(line)
        if found is None:
            return
        prev = self.tasks.get(found.prev) if found.prev else None
        if prev is not None:
            self._stretch(prev, line.time)
            prev.on_cpu = False
            if found.dead or prev.exiting and not found.blocked and found.prev not in self.tasks:
                self._gone(found.prev, prev)
            elif found.blocked:
                self._sleep(prev)
        following = self.tasks.get(found.next) if found.next else None
        if following is not None:
            following.on_cpu = True
            following.asleep = False
            following.since = line.time
            following.fresh = False
            following.cpu = line.cpu
        self.running[line.cpu] = following

    def _sleep(self, task: Task) -> None:
        """The task sleeps: on a channel if a task wakes it, for a time if something outside does."""
        outcome = self.sleeps.next(task.key, NEVER_WOKEN)
        task.sleeps += 1
        task.asleep = True
        if outcome == NEVER_WOKEN:
            task.in_kernel("(exit)", ("x",))
            task.ended = True
            self.count("asleep_at_the_end")
        elif outcome == WOKEN_BY_TASK:
            task.in_kernel("(block)", ("k", program.Block(task.channel)))
        else:
            self.count("sleeps_ended_from_outside")
            span = outcome * self.hz // 1_000_000_000
            task.in_kernel("(block)", ("k", program.Sleep(max(span, 1))))

    def _gone(self, tid: int, task: Task) -> None:
        """A task's last switch: its program ends with exit."""
        task.in_kernel("(exit)", ("x",))
        task.ended = True
        self.generation[tid] = self.generation.get(tid, 0) + 1
        if self.tasks.get(tid) is task:
            del self.tasks[tid]

    def _wake(self, line: Line, task: Task | None) -> None:
        found = fields.wakee(line)
        sleeper = self.tasks.get(found[0]) if found is not None else None
        if sleeper is None or not sleeper.asleep:
            self.count("wakeups_of_running_tasks")
            return
        sleeper.asleep = False
        if task is None or not depends(line, task.name is not None):
            return
        self._stretch(task, line.time)
        task.in_kernel("(wake)", ("k", program.Wake(sleeper.channel)))

    def _call(self, line: Line, task: Task | None) -> None:
        """An IPI that made the other CPU wake somebody: the wake-up is this task's doing."""
        if task is None or fields.ipi_target(line) is None:
            return
        tid, sleep = divmod(self.sleeps.next(f"ipi/{task.key}", 0), 1 << SLEEP_BITS)
        sleeper = self.tasks.get(tid)
        if sleeper is not None:
            self._stretch(task, line.time)
            task.in_kernel("(wake)", ("k", program.Wake(f"{sleeper.key}/{sleep}")))

    def _born(self, line: Line, task: Task | None) -> None:
        """sched_wakeup_new: the fork has put the child on a queue already."""

    def _fork(self, line: Line, task: Task | None) -> None:
        found = fields.fork(line)
        if found is None:
            return
        parent = self.tasks.get(found[0]) or task
        if parent is None:
            self.count("forks_by_unknown_tasks")
            parent = Task("0", "unknown", Space(resident=True), system=False)
        if parent.on_cpu:
            self._stretch(parent, line.time)
        child_tid, comm = found[1], found[2]
        if child_tid in self.tasks:
            self.count("pid_reused")
            self.tasks[child_tid].ended = True
            self.generation[child_tid] = self.generation.get(child_tid, 0) + 1
        shares = (
            parent.nr == 58 or parent.nr == 435 or parent.nr == 56 and bool(parent.args and parent.args[0] & CLONE_VM)
        )
        space = parent.space if shares else Space(resident=parent.space.resident)
        child = Task(identity(child_tid, self.generation), comm, space, system=parent.system)
        child.fresh = True
        self.tasks[child_tid] = child
        if not shares:
            parent.space.read_only(0, 1 << 48)
        parent.in_kernel("(fork)", ("fork", child, shares))

    def _exec(self, line: Line, task: Task | None) -> None:
        if task is None:
            return
        self._stretch(task, line.time)
        task.space = Space(resident=False)
        task.comm = line.comm
        task.in_kernel("(exec)", ("k", program.Exec()))

    def _exit(self, line: Line, task: Task | None) -> None:
        if task is not None:
            self._stretch(task, line.time)
            task.exiting = True

    # --- interrupts -------------------------------------------------------------------------------------------------

    def _irq_end(self, line: Line, task: Task | None) -> None:
        """Interrupt time is not the task's; what the model makes itself is dropped, devices are kept."""
        open_here = self.irq.get(line.cpu)
        if not open_here:
            return
        name, begun = open_here.pop()
        if open_here:
            return
        span = line.time - begun
        if name != "irq_handler":
            self.count("interrupts_made_by_the_model")
        if task is None or not task.on_cpu:
            return
        if name == "irq_handler" and not task.system:
            self._stretch(task, begun)
            device = ("i", "device", self.cycles(line.time) - self.cycles(begun))
            if task.name is None:
                task.put(*device)
            else:
                task.put("w", device[2])
            task.since = line.time
        else:
            task.since = min(task.since + span, line.time)
