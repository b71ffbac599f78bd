"""Who may come in, and how much of everything a request may take."""
