"""Where other people's tools meet ours."""
