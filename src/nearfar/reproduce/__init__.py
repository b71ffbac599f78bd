"""The report, whole: every table and comparison, beside the report's own numbers.

data + published weights → plan of keyed steps → trainings and scores → tables
"""
