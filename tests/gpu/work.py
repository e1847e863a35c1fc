"""Hold memory of the first GPU until standard input ends; with `multiply`, keep it busy too.

Run by the Python that has PyTorch. Prints how many GPUs that has once memory is held and the first product is there.
"""

import select
import sys

import torch

HELD = 4 << 30
"""Bytes, beside the matrix."""
SIDE, AT_ONCE = 8192, 8


def multiply(matrix):
    """Give the GPU work for some milliseconds, and wait for it."""
    for _ in range(AT_ONCE):
        torch.mm(matrix, matrix)
    torch.cuda.synchronize()


held = torch.empty(HELD, dtype=torch.uint8, device="cuda")
busy = sys.argv[1] == "multiply"
factor = torch.randn(SIDE, SIDE, dtype=torch.float16, device="cuda") if busy else None
if busy:
    multiply(factor)
print(torch.cuda.device_count(), flush=True)
while not select.select([sys.stdin], [], [], 0 if busy else None)[0]:
    multiply(factor)
