"""The local cloud: AWS on loopback, for trying, testing and measuring the lab without an account.

moto stores the resources. The layer in front of it behaves like EC2 where a launch depends on it: scarce capacity,
client tokens, pending instances, late errors, validation, AWS's HTTP statuses, latency, throttling.
"""

import gc

gc.set_threshold(250_000)
"""As in scripts/__init__.py: Python's own 700 takes a tenth of the start-up time."""
