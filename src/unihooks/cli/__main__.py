"""Run the command `unihooks` as `python -m unihooks.cli`."""

from unihooks.cli import main

main()
