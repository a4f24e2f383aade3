"""Quality: the checks that accept or reject a dialogue."""
