"""Whose cost is asked for: a command, or a process with its descendants; the rest of the machine is only company."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenarios.recordings.life import Life


@dataclass(frozen=True, slots=True)
class Whose:
    """A choice of tasks: by the name of the command, or by process number with all descendants; neither: everybody."""

    comm: str | None = None
    pid: int | None = None

    @property
    def everybody(self) -> bool:
        """Whether nobody is singled out."""
        return self.comm is None and self.pid is None

    def label(self) -> str:
        """How a result calls those picked; empty: everybody."""
        if self.pid is not None:
            return f"process {self.pid} and its descendants"
        return f"command '{self.comm}'" if self.comm is not None else ""

    def nobody(self) -> str:
        """What to say if nobody is picked."""
        return f"no task is called '{self.comm}'" if self.pid is None else f"no process {self.pid} in its events"

    def picks(self, life: Life) -> bool:
        """Whether the task is one of those asked for, by what is known of it now."""
        if self.pid is not None:
            return life.tree
        return self.comm is None or life.comm == self.comm


EVERYBODY = Whose()
