"""Access to AWS: clients, responses, errors, and the lab's tags."""
