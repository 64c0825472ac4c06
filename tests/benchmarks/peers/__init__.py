"""Those that the explorer is timed against. Each is a function of a Work that gives a Peer."""
