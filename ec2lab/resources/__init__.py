"""The built-in resource types, one file each, registered like any plugin's."""
