"""The store in an SQL database: its logic, over the transactions that a database gives."""
