"""What works here: versions, the computer, extras, weights, each really tried and by itself."""
