"""The page that shows a lab's machines, refusals and costs over time."""
