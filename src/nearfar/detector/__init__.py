"""The recipe fitted: what normal sounds like for each machine, and the verdicts that follow."""
