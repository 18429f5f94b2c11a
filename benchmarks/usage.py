"""Read what processes have used so far: CPU in nanoseconds, and context switches."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from attrs import asdict, field, frozen

# The Linux kernel's number of the clock of a process, as clock_getcpuclockid() makes it.
_WHOLE_PROCESS = 2


@frozen(kw_only=True)
class Used:
    """CPU seconds and switches of threads: of our processes, the database's and the pooler's.

    Of the switches, some were because another thread was due (`preempted`); the others, because a thread waited.
    """

    cpu: float = 0.0
    db: float = 0.0
    pooler: float = 0.0
    switches: float = 0.0
    preempted: float = 0.0
    db_switches: float = 0.0

    @property
    def total(self) -> float:
        """Return the CPU seconds of all."""
        return self.cpu + self.db + self.pooler

    def __sub__(self, other: Self) -> Used:
        return Used(**{name: value - getattr(other, name) for name, value in asdict(self).items()})

    def each(self, count: float) -> Used:
        """Return what each of so many has taken."""
        return Used(**{name: value / count for name, value in asdict(self).items()})


@frozen(kw_only=True)
class Watched:
    """The processes to be watched: ours, and those of a server on this machine, if there is one."""

    ours: Sequence[int] = field(factory=lambda: (os.getpid(),))
    postmaster: int = 0
    pooler: int = 0

    def used(self) -> Used:
        """Return what they have used so far."""
        servers = _servers(self.postmaster)
        return Used(
            cpu=sum(map(cpu_of, self.ours)),
            db=database_cpu(self.postmaster),
            pooler=cpu_of(self.pooler),
            switches=sum(map(switches_of, self.ours)),
            preempted=sum(switches_of(pid, "nonvoluntary") for pid in self.ours),
            db_switches=sum(map(switches_of, servers)),
        )


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of a process, ended threads included; 0 if there is none."""
    try:
        return time.clock_gettime(~pid << 3 | _WHOLE_PROCESS) if pid else 0.0
    except OSError:
        return 0.0


def database_cpu(postmaster: int) -> float:
    """Return the CPU seconds of a server's processes, ended ones included; 0 if there is none."""
    return sum(map(cpu_of, _servers(postmaster))) + _ended(postmaster)


def switches_of(pid: int, kind: str = "") -> int:
    """Return how often threads that are alive were switched, in all or in one of the kernel's kinds."""
    return sum(_switches(task / "status", kind) for task in _tasks(pid))


def switches_by_thread(pid: int) -> dict[int, int]:
    """Return how often each thread was switched, by its id in the kernel."""
    return {int(task.name): _switches(task / "status", "") for task in _tasks(pid)}


def children(pid: int, name: str = "") -> list[int]:
    """Return the ids of the processes that a process has started, or of those with a name."""
    started = [int(one) for task in _tasks(pid) for one in _read(task / "children").split()]
    return [one for one in started if not name or name in _stat(one)[:1]]


def parent(pid: int, name: str) -> int:
    """Return the id of the process that has started a process; 0 if it is none with this name on this machine."""
    fields = _stat(pid)
    return int(fields[2]) if fields[0] == name else 0


def written_by(pid: int) -> int:
    """Return how many bytes a process has sent to the disk."""
    lines = _read(Path(f"/proc/{pid}/io")).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def _servers(postmaster: int) -> list[int]:
    return [postmaster, *children(postmaster)] if postmaster else []


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _switches(status: Path, kind: str) -> int:
    lines = _read(status).splitlines()
    return sum(int(line.split()[1]) for line in lines if "_ctxt_switches:" in line and line.startswith(kind))


def _ended(pid: int) -> float:
    """Return the CPU seconds of the processes that a process had started, and that have ended."""
    fields = _stat(pid) if pid else []
    return sum(map(int, fields[14:16])) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """Return the fields of a process's line from its name on."""
    name, _, rest = _read(Path(f"/proc/{pid}/stat")).partition("(")[2].rpartition(")")
    return [name, *rest.split()]


def _read(file: Path) -> str:
    """Return a file of the kernel's; an ended process has none."""
    try:
        return file.read_text()
    except OSError:
        return ""
