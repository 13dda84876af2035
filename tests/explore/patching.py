"""Patches of the kernel, made in tests."""

from __future__ import annotations

from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PMAP = "sim/kernel/pmap.py"
Write = Callable[..., str]


def edit(old: str, new: str, path: str = PMAP, prefix: str = "a/") -> str:
    """The diff that puts *new* in the place of *old*, which must be in the file once."""
    source = (ROOT / path).read_text()
    assert source.count(old) == 1
    lines = source.splitlines(True), source.replace(old, new).splitlines(True)
    return "".join(unified_diff(*lines, f"{prefix}{path}", f"{'b/' if prefix else ''}{path}", n=1))


def made(path: str, text: str) -> str:
    """The diff that makes a file, as git has it."""
    lines = "".join(f"+{line}\n" for line in text.splitlines())
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 000000000..e69de29bb\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(text.splitlines())} @@\n{lines}"
    )
