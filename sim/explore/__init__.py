"""The exploring driver: the kernel's generators run without a clock through all orders, and judged as they go."""

STRATEGIES = ("auto", "dpor", "states", "exhaustive", "pct", "random")
SAMPLED = ("pct", "random")  # which try some schedules, and prove nothing
MEMORIES = ("sc", "tso")
