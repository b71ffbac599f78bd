"""What requests bring: recordings, written to the disk as they come, by names that lead nowhere."""
