"""The command line: flags to calls, and what a person sees. Nothing is computed here."""
