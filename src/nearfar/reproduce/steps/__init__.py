"""What is to be computed: a plan of keyed steps, its records on disk, its cost, its doing."""
