"""Curves side by side in several processes, with each point's progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from multiprocessing import get_context
from typing import TYPE_CHECKING

from sim.experiments.validation.outcome import Outcome
from sim.experiments.validation.predict import predict
from sim.workers import Workers

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

    from sim.experiments.validation.curves import Curve
    from sim.experiments.validation.predict import Prediction

Progress = Callable[[str, int, int], None]
SECONDS = 0.2

_points: SimpleQueue[str] | None = None


def validate(
    curves: Sequence[Curve], *, seed: int | None = None, jobs: int = 1, progress: Progress | None = None
) -> Outcome:
    """Predict all curves, *jobs* at a time; the result does not depend on *jobs*.  Raises InputError.

    *progress* gets the name of a curve of which a point is done, and the number of points done and of all.
    """
    total = sum(len(curve.points) for curve in curves)
    done = 0

    def one_more(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(name, done, total)

    if jobs <= 1 or len(curves) <= 1:
        return Outcome(tuple(_alone(curve, seed, one_more) for curve in curves))
    return Outcome(tuple(_together(curves, seed, min(jobs, len(curves)), one_more)))


def _alone(curve: Curve, seed: int | None, one_more: Callable[[str], None]) -> Prediction:
    """Predict one curve in this process."""
    return predict(curve, seed=seed, progress=lambda done, total: one_more(curve.name))


def _begin(points: SimpleQueue[str]) -> None:
    """A worker learns where to say that a point is done."""
    global _points
    _points = points


def _worker(curve: Curve, seed: int | None) -> Prediction:
    """Predict one curve in a worker."""
    assert _points is not None
    return _alone(curve, seed, _points.put)


def _together(
    curves: Sequence[Curve], seed: int | None, jobs: int, one_more: Callable[[str], None]
) -> Iterator[Prediction]:
    """Predictions in the order of *curves*; those with most points are begun first."""
    points: SimpleQueue[str] = get_context("spawn").SimpleQueue()
    with Workers(jobs, _begin, points) as pool:
        order = sorted(range(len(curves)), key=lambda at: -curves[at].weight)
        futures: dict[int, Future[Prediction]] = {at: pool.submit(_worker, curves[at], seed) for at in order}
        pending = set(futures.values())
        while pending:
            finished, pending = wait(pending, timeout=SECONDS)
            for future in finished:
                future.result()
            while not points.empty():
                one_more(points.get())
        yield from (futures[at].result() for at in range(len(curves)))
