"""Data volumes: mounting, and deletion policies."""
