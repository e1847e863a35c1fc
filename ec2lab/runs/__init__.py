"""An experiment's command: its code brought to the machines, its log and its end brought back."""
