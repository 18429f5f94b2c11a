"""What a viewer enters into the forms of a webhook: its rows and texts, what is wrong with them, where it is kept."""
