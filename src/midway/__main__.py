"""`python -m midway`."""

from midway.cli import main

main()
