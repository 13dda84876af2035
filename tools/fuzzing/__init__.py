"""What ``tools/fuzz.py`` makes up, one module per sort of input; :mod:`tools.fuzzing.watch` runs and judges a case."""
