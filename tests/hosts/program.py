"""The host programs as modules, for what needs no instance."""

import importlib.util
import sys

from ec2lab.templates import TEMPLATES


def program(name):
    """Return a program of templates/ as a module."""
    module_name = name.replace("-", "_")
    specification = importlib.util.spec_from_file_location(module_name, TEMPLATES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[module_name] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module
