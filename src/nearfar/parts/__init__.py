"""What every part of a system is: plain data with valid settings.

Changed by name, ours or a person's own.
"""
