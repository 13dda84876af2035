"""The invariants, judged while an execution goes on and at its end; judges look at it through a view."""
