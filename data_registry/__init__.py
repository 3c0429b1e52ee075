"""What data we hold, where it came from, and what a coordinate means."""
