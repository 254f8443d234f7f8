"""Where arrays live, and who computes faster on them than the formulas of nn/, of which it knows nothing."""
