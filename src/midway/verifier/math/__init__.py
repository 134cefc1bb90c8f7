"""Is a mathematical answer right? Normal forms, a parser and an exact comparison of our own; math-verify for the hard rest."""
