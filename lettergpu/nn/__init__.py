"""The mathematics of a network, in the array API alone."""
