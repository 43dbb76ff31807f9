"""The reference reward network: checks every report again, challenges some, and pays in integers."""
