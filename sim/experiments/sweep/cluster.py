"""Points on a Dask cluster."""

from __future__ import annotations

import asyncio
import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.errors import InputError
from sim.experiments.sweep.local import AHEAD, KILLED
from sim.experiments.sweep.point import Done, Job, run_sent
from sim.inputs.door import RECORDING, read_bytes
from sim.version import version

if TYPE_CHECKING:
    from distributed import Client

ANSWER = 10  # seconds in which a scheduler has to answer
PATIENCE = 30  # seconds without any worker, or without the scheduler, after which the sweep ends
POLL = 1.0
KEPT = "finished points are kept: run the same command again"


def run_on_cluster(
    jobs: Iterable[tuple[int, Job]], files: Mapping[str, Path], address: str
) -> Iterator[tuple[int, Done]]:
    """Run points on the cluster whose Dask scheduler is at *address*; yields them as they are finished.

    Each file is sent once.  InputError if no scheduler answers, it has no workers, they have another version, or the
    cluster goes away.
    """
    rest = iter(jobs)
    with _connect(address) as client:
        _check_workers(client, address)
        sent = {name: client.scatter(read_bytes(path, RECORDING), broadcast=True) for name, path in files.items()}
        running: dict[Any, int] = {}
        seen = time.monotonic()
        while True:
            threads = sum(client.nthreads().values()) if running else 1
            while len(running) < AHEAD * max(threads, 1) and (one := next(rest, None)) is not None:
                number, job = one
                future = client.submit(run_sent, job, *(sent[name] for name in job.paths), pure=False)
                running[future] = number
            if not running:
                return
            finished = _finished(running, client)
            if finished or threads:
                seen = time.monotonic()
            elif time.monotonic() > seen + PATIENCE:
                raise InputError(f"--cluster {address}: it has had no workers for {PATIENCE} seconds; {KEPT}")
            for future in finished:
                yield running.pop(future), _result(future, address)


def _finished(running: Mapping[Any, int], client: Client) -> list[Any]:
    """The futures that are done, after a while if none is yet."""
    from distributed import wait

    with suppress(TimeoutError):
        wait(list(running), timeout=POLL, return_when="FIRST_COMPLETED")
    return [future for future in running if future.done()]


def _result(future: Any, address: str) -> Done:
    """What came of a point."""
    from distributed import KilledWorker

    if future.status in ("cancelled", "lost"):
        raise InputError(f"--cluster {address}: it lost points; {KEPT}")
    error = future.exception()
    if error is None:
        done: Done = future.result()
        return done
    if isinstance(error, KilledWorker):
        return Done(None, KILLED)
    return Done(None, f"{type(error).__name__}: {error}")


@contextmanager
def _connect(address: str) -> Iterator[Client]:
    """A client of the scheduler; whatever goes wrong with the connection is an InputError."""
    try:
        from distributed import Client
        from distributed.comm.core import CommClosedError
    except ImportError:
        raise InputError("--cluster needs Dask: install 'svs-sim[cluster]'") from None
    with _silence(), warnings.catch_warnings():
        # Versions are compared here, and large files are sent on purpose.
        warnings.simplefilter("ignore", UserWarning)
        _look_for_scheduler(address)
        try:
            with Client(address, timeout=ANSWER, set_as_default=False) as client, client.as_current():
                yield client
        except (CommClosedError, OSError, asyncio.CancelledError, CancelledError) as error:
            raise InputError(
                f"--cluster {address}: the scheduler or all its workers went away ({type(error).__name__}); {KEPT}"
            ) from None


def _look_for_scheduler(address: str) -> None:
    """InputError unless a Dask scheduler answers at the address, soon."""
    from distributed import rpc

    async def ask() -> str:
        async with rpc(address) as there:
            return str((await there.identity())["type"])

    try:
        kind = asyncio.run(asyncio.wait_for(ask(), ANSWER))
    except Exception as error:  # noqa: BLE001 - anything can listen at an address, and answer anything
        raise InputError(
            f"--cluster {address}: no Dask scheduler answers there ({type(error).__name__}); "
            "an address is as tcp://host:8786"
        ) from None
    if kind != "Scheduler":
        raise InputError(f"--cluster {address}: a Dask {kind.lower()} answers there; give the scheduler's address")


@contextmanager
def _silence() -> Iterator[None]:
    """Keep Dask's own account of a lost connection, with tracebacks, to itself."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_workers(client: Client, address: str) -> None:
    """InputError if there are no workers, or one has no svs-sim or another version of it."""
    found = client.run(version, on_error="return")
    if not found:
        raise InputError(f"--cluster {address}: the scheduler has no workers")
    for worker, answer in sorted(found.items()):
        if isinstance(answer, BaseException):
            reason = " ".join(f"{type(answer).__name__}: {answer}".split())
            raise InputError(f"--cluster {address}: worker {worker} has no svs-sim; install the same there ({reason})")
        if answer != version():
            raise InputError(
                f"--cluster {address}: worker {worker} has another version of svs-sim, Python, simpy or networkx "
                "than this machine; install the same on both"
            )
