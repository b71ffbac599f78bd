"""The page beside the watch: HTTP for people and programs, from an alarm to its sound and back.

Desk → routes → app → server; the guard stands before them, static/ is what browsers run.
"""
