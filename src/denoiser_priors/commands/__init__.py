"""What each command takes from its command line."""
