"""What follows from what was heard: is it running, can we hear it, does it sound wrong."""
