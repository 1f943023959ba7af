"""What a team sets: environments under `config/`, recipes under `recipes/`, as frozen records."""
