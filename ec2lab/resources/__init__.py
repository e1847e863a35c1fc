"""The resource types that come with the lab, one file each, registered as a plugin registers its own."""
