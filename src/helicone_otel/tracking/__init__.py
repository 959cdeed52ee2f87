"""What is known of each span."""
