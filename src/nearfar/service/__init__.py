"""Beside the machine, day and night: recordings arrive, each is heard once, kept, and told of.

Sources → incoming → observation → alarms → history → outputs: only what is kept is told.
"""
