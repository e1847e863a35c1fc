"""The built-in kinds of resource, one file each, and what they cost; registered like any plugin's."""
