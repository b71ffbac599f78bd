"""What was heard, kept once and for good: a row a clip, alarms, and what people said of them."""
