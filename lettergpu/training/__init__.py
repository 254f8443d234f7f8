"""From letters to a network: what a training does, what it keeps, and how good the outcome is."""
