"""The account compared with the registry: orphaned resources that cost money."""
