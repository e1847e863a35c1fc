"""From an experiment to booted instances: capacity search, request, rollback, resume and boot."""
