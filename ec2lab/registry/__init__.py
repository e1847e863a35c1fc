"""The record of all calls to AWS and their responses, and the state and history that are computed from it."""
