"""The page with a lab's instances, errors and costs over time."""
