"""What a session is, and who opens one."""
