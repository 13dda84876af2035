"""What a recording says of the machine that it was made on."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from pathlib import Path


def machine_facts(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> dict[str, str]:
    """Return the header's keys that describe the machine: cpu_model, kernel, hypervisor, pti, pcid."""
    text = (proc / "cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    match = re.search(r"^flags\s*: (.+)$", text, re.MULTILINE)
    flags = set(match[1].split()) if match else set()
    return {
        "cpu_model": model[1].strip() if model else platform.processor() or "unknown",
        "kernel": f"{platform.system()} {platform.release()}",
        "hypervisor": _hypervisor(sys) if "hypervisor" in flags else "none",
        "pti": _pti(sys / "devices/system/cpu/vulnerabilities/meltdown", flags),
        "pcid": "yes" if "pcid" in flags else "no",
    }


def _pti(meltdown: Path, flags: set[str]) -> str:
    """Whether the kernel isolates page tables: on, off or unknown."""
    try:
        text = meltdown.read_text(encoding="utf-8")
    except OSError:
        return "on" if "pti" in flags else "unknown"
    return "on" if "PTI" in text else "off"


def _hypervisor(sys: Path) -> str:
    """The hypervisor's name, as ``lscpu`` reads it from the CPU, or what Linux knows of it otherwise."""
    try:
        done = subprocess.run(["lscpu", "-J"], capture_output=True, text=True, check=True,
                              env={**os.environ, "LC_ALL": "C"})  # fmt: skip
        found = [row["data"] for row in _rows(json.loads(done.stdout)) if row["field"] == "Hypervisor vendor:"]
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError):
        found = []
    for path in ("hypervisor/type", "class/dmi/id/sys_vendor"):
        try:
            found.append((sys / path).read_text(encoding="utf-8").strip())
        except OSError:
            continue
    return str(found[0]) if found else "unknown"


def _rows(value: object) -> list[dict[str, str]]:
    """All objects with a field and data, at any depth of what ``lscpu -J`` prints."""
    if isinstance(value, list):
        return [row for item in value for row in _rows(item)]
    if isinstance(value, dict):
        own = [value] if "field" in value and "data" in value else []
        return own + [row for item in value.values() for row in _rows(item)]
    return []
