"""The files that Clarify's processing container reads and writes, as typed records."""
