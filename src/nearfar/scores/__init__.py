"""What is said of clips, and what is true of them.

Verdicts, score files, ground truth, and both joined.
"""
