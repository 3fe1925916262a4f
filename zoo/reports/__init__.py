"""What formats report of a build, cost and lint, and the devices that it may run on."""
