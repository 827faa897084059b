"""What the other parts share; not for users."""
