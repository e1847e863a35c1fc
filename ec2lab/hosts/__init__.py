"""Instances as hosts: reached by ssh, with the members' accounts on them."""
