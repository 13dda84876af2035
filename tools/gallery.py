#!/usr/bin/env python3
"""Makes the pictures of docs/gallery.rst anew: runs each command there and keeps what it draws, made small.

.venv/bin/python tools/gallery.py [NAME...]      all pictures, or those named
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "gallery.rst"
PICTURES = ROOT / "docs" / "_static" / "gallery"
WIDTH = 1100
COLOURS = 40
_ENTRY = re.compile(
    r"^::\n\n    (?P<command>\./svs-sim [^\n]+)\n\n(?P<draws>``[^`]+``)[^\n]*\n\n"
    r"\.\. image:: _static/gallery/(?P<name>[\w-]+)\.png",
    re.MULTILINE,
)


class Entry(NamedTuple):
    """A picture of the gallery: its name, the command line that makes it, and the file that this command draws."""

    name: str
    command: str
    draws: str


def entries() -> list[Entry]:
    """Return the entries of the page in order."""
    text = PAGE.read_text(encoding="utf-8")
    return [Entry(m["name"], m["command"], m["draws"].strip("`")) for m in _ENTRY.finditer(text)]


def shrink(file: Path) -> bytes:
    """Return a picture with fewer pixels and colours (rare ones are kept too), as PNG."""
    from PIL import Image

    picture = Image.open(file).convert("RGB")
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main(names: list[str]) -> int:
    """Run the commands in the checkout."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for entry in entries():
        if names and entry.name not in names:
            continue
        print(entry.command, flush=True)
        done = subprocess.run(entry.command, shell=True, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"exit status {done.returncode}", file=sys.stderr)
            return 1
        (PICTURES / f"{entry.name}.png").write_bytes(shrink(ROOT / entry.draws))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
