"""What things cost: prices, charges from the records, sums and budgets."""
