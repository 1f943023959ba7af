"""The report's section on bias."""
