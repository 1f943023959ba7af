"""The governed lake: buckets, keys, tables, Lake Formation."""
