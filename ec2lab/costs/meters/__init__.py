"""What each resource type has cost, from the records of its life."""
