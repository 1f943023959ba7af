"""A team's settings as frozen records: environments in `config/`, recipes in `recipes/`."""
