"""The command ``svs-sim``: one file per subcommand, each with ``register(subparsers)`` and ``run(args) -> int``.

Exit status: 0 done, 1 a property does not hold (``check``), 2 bad input or usage, 3 a budget ended first (``check``),
4 a timed run came to a standstill, 70 the model contradicted itself or broke, or memory ran out, 128 and its number for
a signal that ended the command (130 interrupted, 143 SIGTERM, 129 SIGHUP), 141 the reader of standard output went away.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor

from sim.cli._say import BAD_INPUT, MODEL_BROKEN, MODEL_BUG, say
from sim.cli._streams import open_streams, settle
from sim.errors import InputError, Standstill
from sim.signals import ending_signals, status_of

STANDSTILL = 4
PIPE_CLOSED = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv* (without the program's name; default: the process's) and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    open_streams()
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # where it keeps its caches concerns nobody here
    try:
        return _guarded(lambda: _dispatch(words))
    finally:
        settle()


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
        with ending_signals():
            status = action()
            sys.stdout.flush()
            return status
    except InputError as error:
        return _complain(str(error))
    except Standstill as error:
        say(f"error: {error}; nothing was written")
        return STANDSTILL
    except KeyboardInterrupt as error:
        say("interrupted; nothing was written")
        return status_of(error)
    except BrokenPipeError:
        return PIPE_CLOSED
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror or error}")
    except MemoryError:
        say("error: out of memory; nothing was written")
        return MODEL_BROKEN
    except BrokenExecutor:
        say("error: a worker process was killed, perhaps for lack of memory; nothing was written")
        return MODEL_BROKEN
    except (Exception, SystemExit, GeneratorExit) as error:  # a kernel, modelled or patched, or the model is broken
        say(traceback.format_exc(), whole=True)
        if not hasattr(error, "__notes__"):  # which name the patches
            say(MODEL_BUG)
        return MODEL_BROKEN


def _complain(message: str) -> int:
    """Report bad input; returns its exit status."""
    say(f"error: {message}")
    return BAD_INPUT
