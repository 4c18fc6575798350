"""Other forms of diagrams: JSON of the checked program, and the terms of other tools read in."""
