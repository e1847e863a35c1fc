"""The checks of make doctor, and what they ask."""
