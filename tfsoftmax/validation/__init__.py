"""What a user may pass: checked, or refused with an error that names it."""
