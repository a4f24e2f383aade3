"""The event-driven simulator: events, mailboxes, the bus, the agent base, one scene a dialogue."""
