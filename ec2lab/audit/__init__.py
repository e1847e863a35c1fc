"""What in the account costs money and nobody remembers: found, and shown."""
