"""Who may do what: as the templates say it, and as the account has it."""
