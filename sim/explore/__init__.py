"""The exploring driver: the kernel's generators run without a clock through all orders, and judged as they go."""

STRATEGIES = ("auto", "dpor", "states", "exhaustive", "pct", "random")
MEMORIES = ("sc", "tso")
