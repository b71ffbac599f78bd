"""What is shown: the report's tables, each cell from numbers of finished steps."""
