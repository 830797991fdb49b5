"""Object storage: addresses, objects, a local cache of them, leases, and outputs that are published whole."""
