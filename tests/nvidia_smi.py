"""What nvidia-smi 580.159.04 prints for an H200, for tests on computers without one (tests/gpu asks a real one)."""

AT_WORK, AT_REST = "99, 4979, 143771", "0, 0, 143771"
"""utilization.gpu, memory.used, memory.total, with --format=csv,noheader,nounits."""
NOT_AVAILABLE = "[N/A]"
"""A field that this GPU or driver does not have, such as the utilization of one that is split into MIG instances."""
NONE = "No devices were found"
"""On standard output, with exit status 6."""
