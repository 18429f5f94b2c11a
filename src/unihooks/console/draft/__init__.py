"""The entries of a viewer in the forms of a webhook: rows and texts, their errors, and where they are kept."""
