"""The command ``svs-sim``: one file per subcommand, each with ``register(subparsers)`` and ``run(args) -> int``.

Exit status: 0 done, 1 a property does not hold (``check``), 2 bad input or usage, 3 a budget ended first (``check``),
70 the model contradicted itself or broke, 130 interrupted, 141 the reader of standard output went away.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence

from sim.errors import InputError

BAD_INPUT = 2
MODEL_BROKEN = 70
INTERRUPTED = 130
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (without the program's name; default: the process's) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    return _guarded(lambda: _dispatch(words))


def _dispatch(words: list[str]) -> int:
    """Parse the words and carry out the command they name."""
    from sim.cli._parser import parse

    args = parse(words)
    if args is None:  # --help or --version, already answered
        return 0
    run: Callable[[object], int] = args.run
    return run(args)


def _guarded(action: Callable[[], int]) -> int:
    """Turn every failure that a person can cause into one line on standard error and an exit status."""
    try:
        status = action()
        sys.stdout.flush()
        return status
    except InputError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        _say("interrupted; nothing was written")
        return INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more at exit; give it something that takes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}")
    except Exception:  # whatever else: a modelled kernel or the model itself is broken, and its input is not
        traceback.print_exc()
        _say("the model contradicts itself: this is a bug of svs-sim, not of your input; please report the above")
        return MODEL_BROKEN


def _complain(message: str) -> int:
    """Report bad input; returns its exit status."""
    _say(f"error: {message}")
    return BAD_INPUT


def _say(message: str) -> None:
    """Print one line, whatever is in it: a name from a file may hold line breaks or what a terminal would obey."""
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)
    print(f"svs-sim: {line}", file=sys.stderr)
