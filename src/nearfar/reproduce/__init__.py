"""The report, whole: every table and comparison, beside the report's own numbers.

    data + published weights → plan of keyed steps → trainings and scores → tables

`nearfar reproduce` is the command; `nearfar.reproduce.run.reproduce` is what it calls.
"""
