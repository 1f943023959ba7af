"""What a deploy would allow that is not allowed yet."""
