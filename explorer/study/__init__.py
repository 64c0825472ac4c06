"""Many runs: sweeps, and what can be said of them."""
