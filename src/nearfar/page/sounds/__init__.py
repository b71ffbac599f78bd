"""The sound of a row of the history: found by its digest, explained, drawn, played."""
