"""The built-in kinds of resource, one file each, registered like any plugin's."""
