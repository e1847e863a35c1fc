"""What was asked of AWS and what it answered: written down, kept, and read as what lives."""
