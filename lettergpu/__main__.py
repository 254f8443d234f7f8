"""python -m lettergpu."""

from .cli import main

main()
