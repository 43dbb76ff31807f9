"""The database's tables, and how a connection to it is opened."""
