"""The store in an SQL database: its logic, over the transactions of a database."""
