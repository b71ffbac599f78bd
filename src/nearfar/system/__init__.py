"""The recipe: which parts, with which settings.

Plain data, from the report's Table 1 or a person's own.
"""
