"""What each built-in resource type costs."""
