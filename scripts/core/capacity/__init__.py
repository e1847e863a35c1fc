"""Where machines are to be had: pools in their order, what a refusal means, when to ask again."""
