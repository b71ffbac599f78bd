"""Questions to a data set.

How good is a system, what does each part do, which setting would one choose?
"""
