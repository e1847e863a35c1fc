"""Instances as hosts: ssh, host keys, and members' accounts."""
