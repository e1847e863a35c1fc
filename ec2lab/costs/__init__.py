"""Costs: prices, charges computed from records, sums and budgets."""
