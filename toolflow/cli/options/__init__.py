"""Options that commands share, a module a matter; each option is written down once."""
