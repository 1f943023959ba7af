"""A sweep over reweighing strength and decision threshold, chosen on the validation split alone."""
