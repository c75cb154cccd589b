"""Pictures for the README, each made by a command."""
