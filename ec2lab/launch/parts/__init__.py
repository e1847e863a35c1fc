"""The built-in launch parts, one file each, registered like any plugin's."""
