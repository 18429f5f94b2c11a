"""Let `python -m unihooks.cli` do what `unihooks` does."""

from unihooks.cli import main

main()
