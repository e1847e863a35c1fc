"""The local cloud: AWS on loopback, for trying, testing and measuring the lab without an account.

moto stores the resources. The layer in front of it behaves as EC2 does where a launch depends on it: capacity that can
be scarce, client tokens, pending instances, late refusals, validation, AWS's own HTTP statuses, latency, throttling.
"""

import gc

gc.set_threshold(250_000)
"""As scripts/__init__.py does, and for the same reason: Python's own 700 takes a tenth of the start."""
