"""The subcommands of `sashiko`, a module each; heavy imports wait until a command runs."""
