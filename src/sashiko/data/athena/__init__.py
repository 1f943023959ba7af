"""The governed lake of an account, read through Athena."""
