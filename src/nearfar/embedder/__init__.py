"""A clip's audio → one row of numbers: the contract, the floor, crops, DIF, EAT and BEATs."""
