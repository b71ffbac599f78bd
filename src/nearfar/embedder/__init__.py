"""A clip's audio → one row of numbers: the contract, the floor, crops, DIF and EAT."""
