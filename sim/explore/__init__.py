"""The exploring driver: the kernel's generators run without a clock through all orders, and judged as they go."""

STRATEGIES = ("auto", "dpor", "states", "exhaustive", "pct", "random")
SAMPLED = ("pct", "random")  # which try some schedules, and prove nothing
MEMORIES = ("sc", "tso")
STATES, STATES_OF_MORE = 100_000, 15_000  # a budget of states, by default, for up to two CPUs and for more
EXECUTIONS = 2000  # the same for strategies that tell no states apart
