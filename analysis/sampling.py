"""What a sample says of the whole: ratios with their intervals, from how much windows differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.units import PLACES, counted

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
GOOD = 0.1  # of the difference: how sure one would like to be of it
Pair = tuple[int, int]
_WITH = {False: "with their 95 % intervals", True: "from one window, which has no interval"}


def ratio(pairs: Sequence[Pair]) -> dict[str, float | None]:
    """Return by how many percent profiles exceed baselines in all windows together, with the 95 % interval.

    Each of *pairs* is what a window took under the baseline and under the profile.  The mean of a ratio estimator, and
    its interval from what windows deviate from it (Student's t); that a sample of much of the whole is surer than that
    is not taken into account.  Null where nothing was measured, and the ends where fewer than two windows took time.
    """
    return _interval([base for base, _ in pairs], [profile - base for base, profile in pairs])


def points(pairs: Sequence[Pair], bases: Sequence[int]) -> dict[str, float | None]:
    """Return the same of a part of the time, in percent of *bases*, what each window took under the baseline in all."""
    return _interval(bases, [profile - base for base, profile in pairs])


def _interval(bases: Sequence[int], added: Sequence[int]) -> dict[str, float | None]:
    """Percent that is added to the bases, and the ends of its interval."""
    base, number = sum(bases), len(bases)
    if not base:
        return {"mean": None, "low": None, "high": None}
    mean = sum(added) / base
    if sum(map(bool, bases)) < 2:
        return {"mean": round(100 * mean, PLACES), "low": None, "high": None}
    from scipy.stats import t

    deviations = sum((more - mean * one) ** 2 for one, more in zip(bases, added, strict=True))
    error = (number * deviations / (number - 1)) ** 0.5 / base
    half = float(t.ppf((1 + CONFIDENCE) / 2, number - 1)) * error
    return {"mean": round(100 * mean, PLACES), "low": round(100 * (mean - half), PLACES),
            "high": round(100 * (mean + half), PLACES)}  # fmt: skip


def enough(estimate: Mapping[str, float | None], windows: int) -> int | None:
    """Return about how many such windows would make an interval of a tenth of the difference to either side.

    As SMARTS has it, from the coefficient of variation; null where there is no difference, or no interval.
    """
    mean, high = estimate["mean"], estimate["high"]
    if not mean or high is None:
        return None
    return max(int(windows * ((high - mean) / (GOOD * mean)) ** 2 + 0.5), 2)


def samples_text(share: str, points: pd.DataFrame) -> str:
    """Return what has to be known of a sweep's samples before its numbers are read, in sentences."""
    one = len(points) > 0 and bool((points["windows"] == 1).all())  # of the whole, as 1:1
    text = (
        f"Samples ({share}) of the recordings: times and counts are sums over windows, percentages estimates of the "
        f"whole {_WITH[one]}."
    )
    unsure = int((points["enough_windows"] > points["windows"]).sum()) if len(points) else 0
    if not unsure:
        return text
    differences = counted(len(points), "difference")
    return f"{text} To know {unsure} of {differences} to a tenth takes more windows (enough_windows)."


def sample_text(sample: Mapping[str, Any]) -> str:
    """Return what has to be known of a sample before its numbers are read, in sentences."""
    text = (
        f"A sample of {sample['lines']:,} of {sample['of_lines']:,} lines, in {counted(sample['windows'], 'window')}: "
        f"times and counts are sums over these, percentages estimates of the whole {_WITH[sample['windows'] == 1]}."
    )
    wanted = sample["enough_windows"]
    if wanted is None or wanted <= sample["windows"]:
        return text
    return f"{text} About {wanted:,} such windows would tell the difference to a tenth of itself."
