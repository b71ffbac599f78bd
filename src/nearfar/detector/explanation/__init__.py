"""Why a verdict is what it is: what moved, what it is held against, and where in the sound."""
