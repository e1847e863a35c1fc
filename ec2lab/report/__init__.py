"""The page that shows a lab's instances, refusals and costs over time."""
