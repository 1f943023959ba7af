"""The pages of a selection and of a sweep."""
