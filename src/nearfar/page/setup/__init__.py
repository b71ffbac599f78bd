"""The first run: from recordings of a healthy machine to a detector, and what is found."""
