"""An experiment's command: its code brought to the instances, its log and its end brought back."""
