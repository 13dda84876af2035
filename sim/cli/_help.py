"""How help is set: in paragraphs and lists, and no name is broken, because names are to be typed."""

from __future__ import annotations

import argparse
import re
import textwrap

ITEM = 24  # columns before what is said of an item in a list


class Help(argparse.HelpFormatter):
    """Help in paragraphs; a line that begins with two spaces is an item, whose name stands before two spaces."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Fill each paragraph and each item by itself."""
        paragraphs = (re.split(r"\n(?=  )", part) for part in re.split(r"\n\n+", text.strip("\n")))
        return "\n\n".join("\n".join(_item(part, width, indent) for part in parts) for parts in paragraphs)

    def _split_lines(self, text: str, width: int) -> list[str]:
        """Break the help of an option into lines."""
        return _wrapped(text, width)


def _item(part: str, width: int, indent: str) -> str:
    """An item of a list, or a paragraph."""
    name, gap, says = part.strip().partition("  ")
    if not (part.startswith("  ") and gap):
        return "\n".join(indent + line for line in _wrapped(part, width))
    start = f"{indent}  {name:<{ITEM - 4}}  "
    lines = _wrapped(says, max(width - len(start), ITEM))
    return "\n".join((" " * len(start) if number else start) + line for number, line in enumerate(lines))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of a text; a long word sticks out."""
    return textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)
