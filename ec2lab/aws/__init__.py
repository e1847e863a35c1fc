"""The way to AWS: clients, their answers and errors, and the tags by which the lab knows its own."""
